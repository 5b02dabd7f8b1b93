//! docs/THREATS.md names the tests that show what it says; each of them is there.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// Shorter names in backticks are commands, tables and attacks.
const TEST_NAME_CHARACTERS_MIN: usize = 20;

fn names_of_tests(folder: &Path, names: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() && !name.starts_with('.') && name != "target" {
            names_of_tests(&path, names);
        } else if name.ends_with(".rs") {
            let source = fs::read_to_string(&path).expect("a source");
            let functions = source.split("fn ").skip(1);
            let named = functions.filter_map(|rest| rest.split_once('(')).map(|(name, _)| name);
            names.extend(named.map(str::to_owned));
        }
    }
}

#[test]
fn every_test_that_the_page_of_threats_names_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace");
    let mut names = BTreeSet::new();
    names_of_tests(root, &mut names);
    let page = fs::read_to_string(root.join("docs/THREATS.md")).expect("the page");
    let is_name = |text: &&str| {
        text.len() >= TEST_NAME_CHARACTERS_MIN
            && text
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte == b'_' || byte.is_ascii_digit())
    };
    let named: BTreeSet<&str> = page.split('`').skip(1).step_by(2).filter(is_name).collect();
    assert!(named.len() > 50, "the page names its tests");
    let missing: Vec<_> = named.into_iter().filter(|name| !names.contains(*name)).collect();
    assert!(missing.is_empty(), "no test is called {missing:?}");
}
