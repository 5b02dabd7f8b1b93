//! The hostile gate, as a program. By itself, since other tests beside it would be one attack more.

#[path = "../processes/ground.rs"]
#[expect(dead_code, reason = "the tests of the other processes use more of it")]
mod ground;

use ground::{Ground, runut};

/// Long enough for every leap of the clock to be followed to, and for streams of keys that are revoked halfway.
const SECONDS: &str = "15";
/// What a build that is not optimized does on two processors.
const PERCENT: &str = "10";
/// Checks of how quickly the honest merchant is served: an optimized build answers for these, in `make chaos-hostile`.
/// All others hold however slow a build is: nothing lost or doubled, memory bounded, attackers cut off.
const TIMED: [&str; 6] = [
    "honest payments: no answer but 2xx",
    "honest payments: p99",
    "through both processes",
    "the honest merchant finds a place",
    "/health/live",
    "a stream of each kind was there",
];
/// Every attack there is.
const ATTACKS: [&str; 17] = [
    "revoked-keys",
    "unread-answers",
    "unread-docs",
    "dripping-bodies",
    "dripping-imports",
    "endless-headers",
    "followers",
    "waiting",
    "made-up-keys",
    "unknown-routes",
    "large-bodies",
    "rate-limit",
    "large-accounts",
    "large-entries",
    "batches",
    "webhooks",
    "clock-leaps",
];

#[test]
fn among_attackers_nothing_is_lost_or_doubled_and_nobody_holds_more_than_a_share() {
    let ground = Ground::new(0o711);
    let data = ground.path("data").to_string_lossy().into_owned();
    let bounds = ["--seconds", SECONDS, "--percent", PERCENT, "--leaping-workers"];
    let mut command = runut(&["chaos", "--hostile", "--json", "--data", &data]);
    let output = command.args(bounds).output().expect("it runs");
    let told = String::from_utf8_lossy(&output.stderr);
    let figures = String::from_utf8_lossy(&output.stdout);
    let figures: Vec<serde_json::Value> =
        figures.lines().map(|line| serde_json::from_str(line).expect("an object a line")).collect();
    let timed = |name: &serde_json::Value| {
        name.as_str().is_some_and(|name| TIMED.iter().any(|timed| name.starts_with(timed)))
    };
    let red: Vec<_> = figures
        .iter()
        .filter(|figure| figure["held"] == false && !timed(&figure["check"]))
        .collect();
    assert!(red.is_empty(), "{red:#?}\n{told}");
    for attack in ATTACKS {
        assert!(figures.iter().any(|figure| figure["attack"] == attack), "{attack}\n{told}");
    }
    let verified = |figure: &&serde_json::Value| figure["check"] == "verify --mirror --read-models";
    let held = figures.iter().filter(verified).filter(|figure| figure["held"] == true).count();
    assert_eq!(held, 1, "{told}");
}

#[test]
fn an_attack_that_nobody_knows_is_refused_before_anything_starts() {
    let output = runut(&["chaos", "--hostile", "--attacks", "kindness"]).output().expect("it runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("no attack is called `kindness`"), "{said}");
}
