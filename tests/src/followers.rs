//! Clients that follow today as players do, and hold each answer to the rules.

use anyhow::{Context as _, Result, ensure};

use crate::{
    client::Client,
    rules::{
        Findings,
        dash::{manifest, patch, update},
        hls::low_latency::{self, LowLatency},
    },
};

/// Follows a media playlist part by part: each reload waits for the next part.
#[derive(Debug)]
pub struct PartsFollower {
    /// The path of the playlist.
    path: String,
    /// What is asked for beside the part: nothing, or `&_HLS_skip=YES`.
    skip: &'static str,
    /// How many other renditions there are.
    others: usize,
    /// As it was last answered.
    pub list: LowLatency,
    /// How many answers were checked.
    pub answers: u64,
}

impl PartsFollower {
    /// Begins with the whole of the playlist at `path`.
    ///
    /// # Errors
    /// It is not there.
    pub fn start(
        client: &Client,
        path: String,
        skip: &'static str,
        others: usize,
    ) -> Result<(Self, Findings)> {
        let (list, findings) = low_latency::check(&client.get_text(&path)?, others);
        let follower = Self {
            path,
            skip,
            others,
            list,
            answers: 1,
        };
        Ok((follower, findings))
    }

    /// Waits for the next part. Returns what is wrong with the answer; `None` if there was none, because nothing is
    /// recorded for now.
    ///
    /// # Errors
    /// There is another answer, or not the next part in it.
    pub fn reload(&mut self, client: &Client) -> Result<Option<Findings>> {
        let (segment, part) = self.list.newest();
        let query = format!("?_HLS_msn={segment}&_HLS_part={part}{}", self.skip);
        let answer = client.get(&format!("{}{query}", self.path))?;
        if answer.status == 503 {
            return Ok(None);
        }
        let before = self.list.newest();
        let findings = self.take(&answer.expect(200)?.text()?);
        ensure!(
            self.list.newest() > before,
            "{query} was answered with {:?}",
            self.list.newest()
        );
        Ok(Some(findings))
    }

    /// Asks for the playlist as it is. Returns what is wrong with the answer.
    ///
    /// # Errors
    /// There is none.
    pub fn reread(&mut self, client: &Client) -> Result<Findings> {
        Ok(self.take(&client.get_text(&self.path)?))
    }

    fn take(&mut self, text: &str) -> Findings {
        let (next, mut findings) = low_latency::check(text, self.others);
        findings.extend(low_latency::check_reload(&self.list, &next));
        self.list = next;
        self.answers += 1;
        findings
    }
}

/// Follows an MPD by its patches.
#[derive(Debug)]
pub struct PatchFollower {
    /// The folder that it is in.
    folder: String,
    path: String,
    /// The MPD, as its patches have made it.
    pub text: String,
    /// How often a patch told what was new.
    pub patches: u32,
    /// The longest of them.
    pub longest_bytes: usize,
    /// How often the whole had to be asked for instead.
    pub wholes: u32,
}

impl PatchFollower {
    /// Begins with the whole of the MPD in `folder`, asked for with `query`.
    ///
    /// # Errors
    /// It is not there.
    pub fn start(client: &Client, folder: &str, query: &str) -> Result<Self> {
        let path = format!("{folder}manifest.mpd?{query}");
        Ok(Self {
            folder: folder.to_owned(),
            text: client.get_text(&path)?,
            path,
            patches: 0,
            longest_bytes: 0,
            wholes: 0,
        })
    }

    /// Asks for what is new. Returns what is wrong with it.
    ///
    /// # Errors
    /// There is no answer, or something else.
    pub fn refresh(&mut self, client: &Client) -> Result<Findings> {
        let (_, location) = self
            .text
            .split_once("<PatchLocation>")
            .context("no patches")?;
        let (location, _) = location.split_once('<').context("no end")?;
        let path = format!("{}{}", self.folder, location.replace("&amp;", "&"));
        let answer = client.get(&path)?.expect(200)?;
        let content_type = answer.header("content-type");
        ensure!(
            content_type == Some("application/dash-patch+xml"),
            "{content_type:?}"
        );
        let patch = answer.text()?;
        let mut findings = Findings::default();
        let new = if patch::is_of(&self.text, &patch) {
            let (new, wrong) = patch::check(&self.text, &patch);
            findings.extend(wrong);
            self.patches += 1;
            self.longest_bytes = self.longest_bytes.max(patch.len());
            new.with_context(|| format!("a patch that makes nothing: {patch}"))?
        } else {
            self.wholes += 1;
            client.get_text(&self.path)?
        };
        let [(before, _), (after, wrong)] =
            [&self.text, &new].map(|text| manifest::check(text, manifest::Expected::TODAY));
        findings.extend(wrong);
        let (before, after) = before.zip(after).context("no MPD")?;
        findings.extend(update::check(&before, &after));
        self.text = new;
        Ok(findings)
    }
}
