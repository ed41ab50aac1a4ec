//! Rules of MPD patches.

use roxmltree::Document;

use super::{PATCH_APPLIES, PATCH_ROOT, apply::apply};
use crate::rules::Findings;

/// What `patch` makes of `mpd`, and what is wrong with it.
pub fn check(mpd: &str, patch: &str) -> (Option<String>, Findings) {
    let mut findings = Findings::default();
    let trees = Document::parse(mpd).and_then(|mpd| Ok((mpd, Document::parse(patch)?)));
    match &trees {
        Ok((mpd, patch)) => findings.extend(root(mpd, patch)),
        Err(error) => findings.check(false, PATCH_ROOT, || error.to_string()),
    }
    match apply(mpd, patch) {
        Ok(made) => (Some(made), findings),
        Err(error) => {
            findings.check(false, PATCH_APPLIES, || error);
            (None, findings)
        }
    }
}

/// Whether `patch` is of this very `mpd`: a player that has another asks for the whole.
pub fn is_of(mpd: &str, patch: &str) -> bool {
    let attribute = |text: &str, name: &str| {
        let tree = Document::parse(text).ok()?;
        Some(tree.root_element().attribute(name)?.to_owned())
    };
    let had = attribute(mpd, "publishTime");
    had.is_some() && had == attribute(patch, "originalPublishTime")
}

fn root(mpd: &Document<'_>, patch: &Document<'_>) -> Findings {
    let mut findings = Findings::default();
    let (mpd, patch) = (mpd.root_element(), patch.root_element());
    let name = patch.tag_name();
    let is_patch =
        (name.namespace(), name.name()) == (Some("urn:mpeg:dash:schema:mpd-patch:2020"), "Patch");
    findings.check(is_patch, PATCH_ROOT, || format!("{name:?}"));
    let id = (mpd.attribute("id"), patch.attribute("mpdId"));
    findings.check(id.0.is_some() && id.0 == id.1, PATCH_ROOT, || {
        format!("mpdId and id are {id:?}")
    });
    let had = mpd.attribute("publishTime");
    let original = patch.attribute("originalPublishTime");
    findings.check(had.is_some() && had == original, PATCH_ROOT, || {
        format!("of a version of {original:?}, not of {had:?}")
    });
    // Both are written alike, so that they compare as texts.
    let published = patch.attribute("publishTime");
    findings.check(published > had, PATCH_ROOT, || {
        format!("published {published:?}, not after {had:?}")
    });
    findings
}
