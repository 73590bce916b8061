//! The profiles that are part of the program: one line per file of `configs/profiles`. A test
//! compares the two.

macro_rules! profiles {
    ($($name:literal)*) => {
        /// Name and text of each, by name.
        pub static SHIPPED: &[(&str, &str)] = &[$((
            $name,
            include_str!(concat!("../../../configs/profiles/", $name, ".yaml")),
        )),*];
    };
}

profiles! {
    "abb-b21"
    "abb-b23"
    "carlo-gavazzi-em111"
    "carlo-gavazzi-em24-e1"
    "carlo-gavazzi-em340"
    "chint-dtsu666"
    "eastron-sdm120"
    "eastron-sdm230"
    "eastron-sdm630"
    "eastron-sdm72d-m"
    "eastron-sdm72d-m-v2"
    "finder-7m38"
    "inepro-pro380"
    "janitza-umg604"
    "janitza-umg96rm"
    "lovato-dmg610"
    "orno-or-we-514"
    "orno-or-we-516"
    "peacefair-pzem-016"
    "phoenix-eem-ma370"
    "schneider-iem3155"
    "schneider-pm3255"
    "schneider-pm5100"
    "siemens-pac2200"
    "siemens-pac3200"
    "socomec-countis-e"
    "socomec-diris-a10"
    "sunspec-common"
    "wago-879-3000"
}
