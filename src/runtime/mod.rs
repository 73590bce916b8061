//! Wires a plan into supervised units.
