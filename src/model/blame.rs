//! Two questions every error answers.

/// Whose fault it is, and so who must act.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blame {
    /// A field device.
    Device,
    /// A cable, an adapter, a network.
    Link,
    /// What someone configured.
    Config,
    Disk,
    /// Fieldhold itself.
    Us,
}

/// Whether trying again can help.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// With back-off, for ever.
    Later,
    /// Not before somebody changes something.
    Never,
}
