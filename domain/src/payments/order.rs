//! Orders: what is bought.

use serde::{Deserialize, Serialize};

use crate::text::Name;

/// The most lines of an order; with names at their longest some 60 KiB of the event's 256.
pub const LINE_ITEMS_MAX: usize = 100;

/// One line of an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LineItem {
    /// What it is.
    pub name: Name,
    /// How many of it, from 1.
    pub quantity: u32,
    /// What one of it costs, in minor units of the payment's currency.
    pub unit_amount_minor: i64,
}

/// What is bought. Its lines need not add up to the amount, which may hold taxes, discounts or a share
/// of the order.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Order(Vec<LineItem>);

impl Order {
    /// An order of at most [`LINE_ITEMS_MAX`] lines.
    ///
    /// # Errors
    /// There are more.
    pub fn new(lines: Vec<LineItem>) -> Result<Self, &'static str> {
        if lines.len() > LINE_ITEMS_MAX { Err("at most 100 lines") } else { Ok(Self(lines)) }
    }

    /// Whether nothing is said of it.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The lines.
    pub fn lines(&self) -> &[LineItem] {
        &self.0
    }
}
