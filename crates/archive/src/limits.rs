//! How much a camera may keep.

/// How long recordings of a camera are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Full days before today.
    pub days_to_keep: u8,
    /// Most bytes that its days may take; `None`: what the disk has.
    pub max_bytes: Option<u64>,
    /// The same for moments; `None`: for ever.
    pub moments_days_to_keep: Option<u16>,
    /// The same for timelapses; `None`: for ever.
    pub timelapse_days_to_keep: Option<u16>,
}

/// `260 GB`, `4.2 GB`, `0.3 GB`.
pub(crate) fn gigabytes(bytes: u64) -> String {
    let tenths = (u128::from(bytes) + 50_000_000) / 100_000_000;
    match tenths {
        0..100 => format!("{}.{} GB", tenths / 10, tenths % 10),
        _ => format!("{} GB", (tenths + 5) / 10),
    }
}
