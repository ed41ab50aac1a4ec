//! Codec strings (RFC 6381 §3.3; ISO/IEC 14496-15 Annex E for AVC and HEVC).

/// Whether `codec` has the full form of a codec this server can send.
pub fn is_rfc6381(codec: &str) -> bool {
    is_video(codec) || is_audio(codec)
}

/// `avc1.PPCCLL`, or `hvc1.[A-C]p.compat.(L|H)level[.constraint bytes]`.
pub fn is_video(codec: &str) -> bool {
    let hex = |text: &str, len: std::ops::RangeInclusive<usize>| {
        len.contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit())
    };
    let number = |text: &str| text.parse::<u8>().is_ok();
    let parts: Vec<&str> = codec.split('.').collect();
    match parts.as_slice() {
        ["avc1" | "avc3", profile] => hex(profile, 6..=6),
        [
            "hvc1" | "hev1",
            profile,
            compatibility,
            tier,
            constraints @ ..,
        ] => {
            let level = tier.strip_prefix(['L', 'H']);
            number(profile.trim_start_matches(['A', 'B', 'C']))
                && hex(compatibility, 1..=8)
                && level.is_some_and(number)
                && constraints.len() <= 6
                && constraints.iter().all(|byte| hex(byte, 1..=2))
        }
        _ => false,
    }
}

/// `mp4a.40.{object type}`, `opus`, `Opus`, `fLaC`, `ac-3`, `ec-3`.
pub fn is_audio(codec: &str) -> bool {
    match codec.strip_prefix("mp4a.40.") {
        Some(object_type) => object_type.parse::<u8>().is_ok_and(|number| number > 0),
        None => matches!(codec, "opus" | "Opus" | "fLaC" | "ac-3" | "ec-3"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_the_full_forms() {
        for codec in [
            "avc1.640028",
            "avc1.42c01E",
            "hvc1.1.6.L93.B0",
            "hvc1.A2.4.H120",
        ] {
            assert!(is_video(codec) && !is_audio(codec), "{codec}");
        }
        for codec in ["mp4a.40.2", "mp4a.40.5", "opus"] {
            assert!(is_audio(codec) && !is_video(codec), "{codec}");
        }
        for bad in [
            "",
            "avc1",
            "avc1.64002",
            "h264",
            "mp4a",
            "mp4a.40",
            "hvc1",
            "hvc1.1.6.93",
        ] {
            assert!(!is_rfc6381(bad), "{bad}");
        }
    }
}
