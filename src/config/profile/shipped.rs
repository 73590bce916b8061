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
    "sunspec-common"
}
