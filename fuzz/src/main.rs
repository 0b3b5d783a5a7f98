//! One fuzzer for every target: `FUZZ_TARGET` names the property.
#![no_main]

mod properties;

use std::sync::OnceLock;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    static PROPERTY: OnceLock<properties::Property> = OnceLock::new();
    let property = PROPERTY.get_or_init(|| {
        let name = std::env::var("FUZZ_TARGET").unwrap_or_default();
        let found = properties::ALL.iter().find(|(known, _)| *known == name);
        found.expect("FUZZ_TARGET names one of the properties").1
    });
    property(data);
});
