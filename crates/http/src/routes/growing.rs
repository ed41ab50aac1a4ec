//! A segment while it is recorded: what there is of it is sent at once, and each chunk when it is there
//! (ISO/IEC 23009-1 §5.3.9.5.3, `availabilityTimeComplete="false"`; RFC 9112 §7.1). All together are the bytes that the
//! segment has when it is complete; where it is never completed, the answer breaks off, and nobody takes it for whole.

use std::{fs::File, io, path::PathBuf, sync::Arc, time::Duration};

use actix_web::{HttpResponse, http::header, web};
use bytes::Bytes;
use dayreel_archive::{CameraArchive, MediaSlice};
use dayreel_core::{MediaTime, TrackKind};
use futures_util::stream;
use tokio::{sync::watch, time::timeout};

use crate::{
    crowd::Place,
    file_body::{IMMUTABLE, read_some},
    routes::waiting,
};

/// The segment of the track `kind` that starts at `start` and is being recorded. Holds `place` until all is sent.
pub(super) fn response(
    content_type: &'static str,
    archive: Arc<CameraArchive>,
    kind: TrackKind,
    start: MediaTime,
    place: Place,
) -> HttpResponse {
    let follower = Follower {
        growth: archive.growth(),
        archive,
        kind,
        start,
        sent_bytes: 0,
        file: OpenFile::default(),
        _place: place,
    };
    let pieces = stream::try_unfold(follower, |mut follower| async {
        let piece = follower.next().await?;
        Ok::<_, io::Error>(piece.map(|piece| (piece, follower)))
    });
    HttpResponse::Ok()
        .content_type(content_type)
        .insert_header((header::CACHE_CONTROL, IMMUTABLE))
        .streaming(pieces)
}

struct Follower {
    archive: Arc<CameraArchive>,
    growth: watch::Receiver<()>,
    kind: TrackKind,
    start: MediaTime,
    sent_bytes: u64,
    file: OpenFile,
    _place: Place,
}

/// The file that is being read. A segment over midnight ends as a copy in the first hour of the new day.
#[derive(Default)]
struct OpenFile(Option<(PathBuf, Arc<File>)>);

impl OpenFile {
    /// The file at `path`; opened if it is not the one before.
    async fn at(&mut self, path: PathBuf) -> io::Result<Arc<File>> {
        match &self.0 {
            Some((open, file)) if *open == path => Ok(Arc::clone(file)),
            _ => {
                let to_open = path.clone();
                let opened = web::block(move || File::open(to_open)).await;
                let file = Arc::new(opened.map_err(io::Error::other)??);
                self.0 = Some((path, Arc::clone(&file)));
                Ok(file)
            }
        }
    }
}

impl Follower {
    /// The next bytes; `None` after the last of the segment.
    async fn next(&mut self) -> io::Result<Option<Bytes>> {
        loop {
            self.growth.borrow_and_update();
            let (there, is_complete) = match self.archive.open_segment(self.kind, self.start) {
                Some(there) => (there, false),
                None => (self.complete().await?, true),
            };
            if there.len_bytes > self.sent_bytes {
                return self.read(there).await.map(Some);
            }
            if is_complete {
                return Ok(None);
            }
            let more = timeout(self.patience(), self.growth.changed()).await;
            more.map_err(io::Error::other)?.map_err(io::Error::other)?;
        }
    }

    /// The whole segment.
    async fn complete(&self) -> io::Result<MediaSlice> {
        let (archive, kind, start) = (Arc::clone(&self.archive), self.kind, self.start);
        let found = web::block(move || archive.segment(kind, start)).await;
        let found = found.map_err(io::Error::other)?.map_err(io::Error::other)?;
        found.ok_or_else(|| io::Error::other("the segment was not completed"))
    }

    async fn read(&mut self, there: MediaSlice) -> io::Result<Bytes> {
        let (at, end) = (
            there.offset + self.sent_bytes,
            there.offset + there.len_bytes,
        );
        let file = self.file.at(there.path).await?;
        let piece = read_some(file, at, end).await?;
        self.sent_bytes += piece.len() as u64;
        Ok(piece)
    }

    /// For how long nothing may come.
    fn patience(&self) -> Duration {
        let edge = waiting::edge(&self.archive, self.kind);
        edge.map_or(Duration::ZERO, |edge| waiting::patience(&edge))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// Its bytes were taken from the old hour, at the place that they have in the new one.
    #[actix_web::test]
    async fn regression_the_end_of_a_segment_over_midnight_was_read_from_the_old_hour() {
        let folder = tempfile::tempdir().unwrap();
        let [old, new] = ["video-23.mp4", "video-00.mp4"].map(|name| folder.path().join(name));
        fs::write(&old, "of 23").unwrap();
        fs::write(&new, "of 00").unwrap();
        let mut open = OpenFile::default();
        let before = open.at(old.clone()).await.unwrap();
        assert!(Arc::ptr_eq(&before, &open.at(old).await.unwrap()));
        let after = open.at(new).await.unwrap();
        assert_eq!(read_some(after, 3, 5).await.unwrap(), "00");
    }
}
