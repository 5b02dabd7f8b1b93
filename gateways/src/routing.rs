//! Routing: which PSPs a payment may go to, and in which order, by rules of the deployment.
//!
//! The first rule that fits a payment says its PSPs with their weights; where none does, all PSPs are alike.
//! Nothing is drawn: a payment's id says where it goes, so that it goes there again when it is looked at again.

use domain::payments::{MethodKind, Payment, PspName};
use domain::{Currency, MerchantId};
use serde::{Deserialize, Serialize};

/// The most rules of a deployment: each payment is held against them in turn.
pub const RULES_MAX: usize = 1_000;
/// The largest weight of a PSP in a rule.
pub const WEIGHT_MAX: u32 = 1_000;

/// Which payments go where. What is not given fits every payment.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RoutingRule {
    /// Payments in one of these currencies.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub currencies: Vec<Currency>,
    /// Payments by one of these kinds of methods.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub methods: Vec<MethodKind>,
    /// Payments of one of these merchants.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub merchants: Vec<MerchantId>,
    /// Payments of at least this, in minor units of their currency.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount_min_minor: Option<i64>,
    /// Payments of at most this, in minor units of their currency.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount_max_minor: Option<i64>,
    /// Where they go.
    pub psps: Vec<WeightedPsp>,
}

/// A PSP and its share.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WeightedPsp {
    /// The PSP.
    pub name: PspName,
    /// How many of the sum of all weights go there first; 0 for one that is tried after the others only.
    #[serde(default = "one")]
    pub weight: u32,
}

const fn one() -> u32 {
    1
}

impl RoutingRule {
    /// Whether it is about `payment`.
    pub fn fits(&self, payment: &Payment) -> bool {
        fn among<T: PartialEq>(allowed: &[T], value: Option<T>) -> bool {
            allowed.is_empty() || value.is_some_and(|value| allowed.contains(&value))
        }
        let minor = payment.amount().minor();
        among(&self.currencies, Some(payment.amount().currency()))
            && among(&self.methods, payment.method.as_ref().map(|method| method.kind))
            && among(&self.merchants, Some(payment.merchant_id))
            && self.amount_min_minor.is_none_or(|least| minor >= least)
            && self.amount_max_minor.is_none_or(|most| minor <= most)
    }
}

/// The PSPs of `choices` in the order in which `payment` tries them: the first by its share, the others after
/// it by their weights. After `turned_away` attempts it is as many places further.
pub(crate) fn in_order(
    choices: &[WeightedPsp],
    payment: &Payment,
    turned_away: usize,
) -> Vec<PspName> {
    let sum: u64 = choices.iter().map(|choice| u64::from(choice.weight)).sum();
    // The last bits of a UUIDv7 are random.
    let [.., a, b, c, d] = payment.id.uuid().into_bytes();
    let mut point = u64::from(u32::from_be_bytes([a, b, c, d])) % sum.max(1);
    let mut first = 0;
    for (index, choice) in choices.iter().enumerate() {
        let weight = u64::from(choice.weight);
        if point < weight {
            first = index;
            break;
        }
        point -= weight;
    }
    let mut others: Vec<usize> = (0..choices.len()).filter(|index| *index != first).collect();
    // The configured order among equals, begun after the first one, so that load is shared on failover too.
    let many = choices.len();
    others.sort_by_key(|index| {
        (std::cmp::Reverse(choices[*index].weight), (index + many - first) % many)
    });
    let mut order: Vec<usize> = std::iter::once(first).chain(others).collect();
    order.truncate(many);
    if many > 0 {
        order.rotate_left(turned_away % many);
    }
    order.into_iter().map(|index| choices[index].name.clone()).collect()
}
