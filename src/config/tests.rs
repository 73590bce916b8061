//! Texts and what is said about them.

use super::*;

#[test]
fn the_smallest_configuration() {
    let loaded = parse("gateway: { name: a }\nbroker: {}\n", "t.yaml").unwrap();
    assert_eq!(loaded.plan.gateway.name.as_str(), "a");
}

fn config_file(name: &str) -> Loaded {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("configs").join(name);
    load(&path).unwrap_or_else(|problems| panic!("{problems}"))
}

#[test]
fn the_files_in_configs_load_without_warnings() {
    for name in [
        "minimal.yaml",
        "demo.yaml",
        "reference.yaml",
        "examples/modbus-tcp.yaml",
        "examples/modbus-rtu.yaml",
    ] {
        let loaded = config_file(name);
        assert!(loaded.warnings.is_empty(), "{name}: {:?}", loaded.warnings);
        assert!(loaded.plan.tags().count() > 0, "{name}");
    }
}
