//! Frames cut and decoded.
