//! Several exports as one ZIP file, stored as they are and made while it is read.

use std::{
    collections::VecDeque,
    io::{self, Write},
    sync::Arc,
};

use bytes::Bytes;
use parking_lot::Mutex;
use zip::{
    CompressionMethod, ZipWriter,
    write::{SimpleFileOptions, StreamWriter},
};

use super::{Export, ExportReader};

/// Hands out the bytes of a ZIP file, front to back, some at a time.
///
/// # Errors
/// As of [`ExportReader`]. It ends with the first.
#[derive(Debug)]
pub struct ExportZip {
    files: VecDeque<(String, Arc<Export>)>,
    open: Option<ExportReader>,
    /// `None` when the file is complete.
    writer: Option<ZipWriter<StreamWriter<Spool>>>,
    written: Spool,
}

/// What has been written and not been handed out yet.
#[derive(Clone, Debug, Default)]
struct Spool(Arc<Mutex<Vec<u8>>>);

impl Write for Spool {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl ExportZip {
    /// A ZIP file with these files, by their names.
    pub fn new(files: impl IntoIterator<Item = (String, Export)>) -> Self {
        let written = Spool::default();
        let files = files.into_iter();
        Self {
            files: files
                .map(|(name, export)| (name, Arc::new(export)))
                .collect(),
            open: None,
            writer: Some(ZipWriter::new_stream(written.clone())),
            written,
        }
    }

    /// Writes some more; whether there is more to come.
    fn advance(&mut self) -> io::Result<bool> {
        let Some(writer) = &mut self.writer else {
            return Ok(false);
        };
        if let Some(piece) = self.open.as_mut().and_then(Iterator::next) {
            writer.write_all(&piece?)?;
        } else if let Some((name, export)) = self.files.pop_front() {
            let options = SimpleFileOptions::default()
                .compression_method(CompressionMethod::Stored)
                .large_file(true);
            writer.start_file(name, options)?;
            self.open = Some(export.read(0..export.len_bytes()));
        } else if let Some(writer) = self.writer.take() {
            writer.finish()?;
        }
        Ok(true)
    }
}

impl Iterator for ExportZip {
    type Item = io::Result<Bytes>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            match self.advance() {
                Ok(true) => {}
                Ok(false) => return None,
                Err(error) => {
                    self.writer = None;
                    return Some(Err(error));
                }
            }
            let written = std::mem::take(&mut *self.written.0.lock());
            if !written.is_empty() {
                return Some(Ok(written.into()));
            }
        }
    }
}
