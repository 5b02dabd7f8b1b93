//! The chaos gate, as a program.

use crate::ground::{Ground, runut};

/// Every fault more than twenty times.
const PAYMENTS: &str = "500";

#[test]
fn nothing_is_left_undone_or_done_twice() {
    let ground = Ground::new(0o711);
    let data = ground.path("data").to_string_lossy().into_owned();
    let output = runut(&["chaos", "--payments", PAYMENTS, "--data", &data]).output();
    let output = output.expect("it runs");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("verify OK") && said.contains("everything holds"), "{said}");
    for dead in ["worker-a", "worker-b", "command-api", "mirror", "nats"] {
        assert!(said.contains(&format!("{dead} is killed")), "{said}");
    }
}
