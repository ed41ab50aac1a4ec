//! From the tree of the file and the environment to checked settings, in one step.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use chrono_tz::Tz;
use dayreel_core::CameraId;
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use crate::{
    document::{Key, Report, Table, article},
    env::EnvSource,
    problem::{Given, Problem, Refusal},
    secret_url::SecretUrl,
    settings::{
        Auth, Camera, DEFAULT_DATA_DIR, DEFAULT_FRAME_MAX_AGE_S, DEFAULT_GIF_MAX_BYTES,
        DEFAULT_LISTEN, DEFAULT_MIN_FREE_BYTES, DEFAULT_SEGMENT_S, GIF_MAX_BYTES_RANGE,
        MAX_BYTES_RANGE, MAX_DATED_DAYS_TO_KEEP, MAX_DAYS_TO_KEEP, MAX_FRAME_MAX_AGE_S,
        MAX_SEGMENT_S, MAX_TIMELAPSE_FPS, MAX_TIMELAPSE_INTERVAL_S, Server, Settings,
        TIMELAPSE_WIDTHS, Timelapse, Transport,
    },
    template, timezone,
    warning::Warning,
};

const ROOT_KEYS: &[Key] = &[Key::new("server"), Key::new("camera")];

/// Keys of `[server]`; each can be overridden by the variable beside it.
pub(crate) const SERVER_KEYS: &[Key] = &[
    Key::new("listen"),
    Key::new("data_dir"),
    Key::new("require_marker"),
    Key::new("min_free_bytes"),
    Key::new("timezone"),
    Key::new("auth"),
];

/// Keys of `[[camera]]`.
pub(crate) const CAMERA_KEYS: &[Key] = &[
    Key {
        name: "id",
        aliases: &["cameraID"],
    },
    Key::new("rtsp"),
    Key {
        name: "days_to_keep",
        aliases: &["daysToKeep"],
    },
    Key::new("max_bytes"),
    Key::new("moments_days_to_keep"),
    Key::new("timelapse_days_to_keep"),
    Key::new("timezone"),
    Key::new("transport"),
    Key::new("audio"),
    Key::new("segment_s"),
    Key::new("frame_max_age_s"),
    Key::new("gif_max_bytes"),
    Key::new("timelapse"),
    Key::new("timelapse_interval_s"),
    Key::new("timelapse_width"),
    Key::new("timelapse_fps"),
];

/// Settings and warnings of `text`, or everything that is wrong with it.
pub(crate) fn resolve(
    text: &str,
    env: &dyn EnvSource,
) -> Result<(Settings, Vec<Warning>), Vec<Problem>> {
    let mut report = Report::new(text);
    let mut warnings = Vec::new();
    let mut settings = None;
    if let Some(root) = report.parse() {
        let mut resolver = Resolver {
            env,
            report: &mut report,
            warnings: &mut warnings,
        };
        settings = resolver.settings(&root);
    }
    let problems = report.into_problems();
    match settings {
        Some(settings) if problems.is_empty() => Ok((settings, warnings)),
        _ => Err(problems),
    }
}

struct Resolver<'r, 't> {
    env: &'r dyn EnvSource,
    report: &'r mut Report<'t>,
    warnings: &'r mut Vec<Warning>,
}

/// Every `None` in here comes with a problem in the report.
impl Resolver<'_, '_> {
    fn settings(&mut self, root: &DeTable<'_>) -> Option<Settings> {
        let root = Table::open("", root, ROOT_KEYS, self.report);
        let server = self.server(&root);
        // A bad zone of the server must not hide what is wrong with the cameras.
        let zone = server.as_ref().map_or(Tz::UTC, |server| server.timezone);
        let cameras = self.cameras(&root, zone);
        Some(Settings {
            server: server?,
            cameras: cameras?,
        })
    }

    fn server(&mut self, root: &Table<'_>) -> Option<Server> {
        let empty = DeTable::new();
        let table = match root.get("server").map(|value| (value, value.get_ref())) {
            None => &empty,
            Some((_, DeValue::Table(table))) => table,
            Some((value, other)) => {
                self.wrong_type(value, "server", "a table: [server]", other);
                return None;
            }
        };
        let table = Table::open("server", table, SERVER_KEYS, self.report);
        let listen = self.setting(&table, "listen", "DAYREEL_LISTEN", parse_listen);
        let data_dir = self.setting(&table, "data_dir", "DAYREEL_DATA_DIR", parse_folder);
        let require_marker = table.boolean("require_marker", self.report);
        let free = (0, MAX_BYTES_RANGE.1);
        let min_free_bytes = table.integer("min_free_bytes", free, "bytes", self.report);
        let zone = self.setting(&table, "timezone", "DAYREEL_TIMEZONE", timezone::parse);
        let auth = self.setting(&table, "auth", "DAYREEL_AUTH", parse_auth);

        let listen = match listen? {
            Some(listen) => listen,
            None => parse_listen(DEFAULT_LISTEN, Given::new(DEFAULT_LISTEN)).ok()?,
        };
        let timezone = zone?.unwrap_or_else(|| {
            let (zone, warning) = timezone::of_machine(self.env);
            self.warnings.extend(warning);
            zone
        });
        let auth = auth?.unwrap_or_default();
        if auth == Auth::Unsaid && !listen.ip().is_loopback() {
            self.warnings.push(Warning::OpenToNetwork { listen });
        }
        Some(Server {
            listen,
            data_dir: data_dir?.unwrap_or_else(|| PathBuf::from(DEFAULT_DATA_DIR)),
            require_marker: require_marker.unwrap_or(false),
            min_free_bytes: min_free_bytes.unwrap_or(DEFAULT_MIN_FREE_BYTES),
            timezone,
            auth,
        })
    }

    fn cameras(&mut self, root: &Table<'_>, zone: Tz) -> Option<Vec<Camera>> {
        let tables: Vec<&Spanned<DeValue<'_>>> = match root.get("camera") {
            None => Vec::new(),
            Some(value) => match value.get_ref() {
                DeValue::Array(array) => array.iter().collect(),
                DeValue::Table(_) => {
                    let at = value.span().start;
                    self.report.add(at, "camera", Refusal::SingleBrackets);
                    return None;
                }
                other => {
                    self.wrong_type(value, "camera", "a list of tables: [[camera]]", other);
                    return None;
                }
            },
        };
        if tables.is_empty() {
            self.report.add(0, "camera", Refusal::NoCamera);
            return None;
        }
        let mut taken = Vec::new();
        let cameras: Vec<Option<Camera>> = tables
            .into_iter()
            .enumerate()
            .map(|(index, table)| self.camera(index + 1, table, zone, &mut taken))
            .collect();
        cameras.into_iter().collect()
    }

    fn camera(
        &mut self,
        number: usize,
        value: &Spanned<DeValue<'_>>,
        zone: Tz,
        taken: &mut Vec<(CameraId, usize)>,
    ) -> Option<Camera> {
        let path = camera_path(number, value.get_ref());
        let DeValue::Table(table) = value.get_ref() else {
            self.wrong_type(value, &path, "a table: [[camera]]", value.get_ref());
            return None;
        };
        let table = Table::open(&path, table, CAMERA_KEYS, self.report);
        let begin = value.span().start;
        let id = self.id(&table, begin, taken);
        let rtsp = self.rtsp(&table, begin);
        let days = (0, MAX_DAYS_TO_KEEP);
        let days = table.integer("days_to_keep", days, "full days before today", self.report);
        let max_bytes = table.integer("max_bytes", MAX_BYTES_RANGE, "bytes", self.report);
        let dated = (0, MAX_DATED_DAYS_TO_KEEP);
        let mut dated = |key| table.integer(key, dated, "full days before today", self.report);
        let moments_days_to_keep = dated("moments_days_to_keep");
        let timelapse_days_to_keep = dated("timelapse_days_to_keep");
        let segment = (1, MAX_SEGMENT_S);
        let segment = table.integer("segment_s", segment, "seconds", self.report);
        let age = (0, MAX_FRAME_MAX_AGE_S);
        let age = table.integer("frame_max_age_s", age, "seconds", self.report);
        let gif = table.integer("gif_max_bytes", GIF_MAX_BYTES_RANGE, "bytes", self.report);
        let timelapse = self.timelapse(&table);
        let timezone = self.text(&table, "timezone", timezone::parse);
        let transport = self.text(&table, "transport", parse_transport);
        let audio = table.boolean("audio", self.report);
        Some(Camera {
            id: id?,
            rtsp: rtsp?,
            days_to_keep: days.unwrap_or(MAX_DAYS_TO_KEEP),
            max_bytes,
            moments_days_to_keep,
            timelapse_days_to_keep,
            timezone: timezone?.unwrap_or(zone),
            transport: transport?.unwrap_or_default(),
            audio: audio.unwrap_or(true),
            segment: Duration::from_secs(segment.unwrap_or(DEFAULT_SEGMENT_S).into()),
            frame_max_age: Duration::from_secs(age.unwrap_or(DEFAULT_FRAME_MAX_AGE_S).into()),
            gif_max_bytes: gif.unwrap_or(DEFAULT_GIF_MAX_BYTES),
            timelapse,
        })
    }

    /// What is refused of it is in the report; the default stands in for it.
    fn timelapse(&mut self, table: &Table<'_>) -> Timelapse {
        let default = Timelapse::default();
        let mut integer = |key, range, unit| table.integer(key, range, unit, self.report);
        let interval = (1, MAX_TIMELAPSE_INTERVAL_S);
        let interval = integer("timelapse_interval_s", interval, "seconds");
        let width = integer("timelapse_width", TIMELAPSE_WIDTHS, "pixels");
        let fps = integer("timelapse_fps", (1, MAX_TIMELAPSE_FPS), "pictures a second");
        let enabled = table.boolean("timelapse", self.report);
        Timelapse {
            enabled: enabled.unwrap_or(default.enabled),
            interval_s: interval.unwrap_or(default.interval_s),
            width: width.unwrap_or(default.width),
            fps: fps.unwrap_or(default.fps),
        }
    }

    /// The camera's id, if it is free.
    fn id(
        &mut self,
        table: &Table<'_>,
        begin: usize,
        taken: &mut Vec<(CameraId, usize)>,
    ) -> Option<CameraId> {
        let example = "write id = \"front-door\"";
        let id = self.text(table, "id", |text, _| Ok(text.parse::<CameraId>()?))?;
        let Some(id) = id else {
            self.missing(table, "id", begin, example);
            return None;
        };
        let at = table.get("id").map_or(begin, |value| value.span().start);
        let same =
            |(other, _): &&(CameraId, usize)| other.as_str().eq_ignore_ascii_case(id.as_str());
        if let Some((_, line)) = taken.iter().find(same) {
            let refusal = Refusal::DuplicateId { line: *line };
            self.report.add(at, &table.path_of("id"), refusal);
            return None;
        }
        taken.push((id.clone(), self.report.line(at)));
        Some(id)
    }

    fn rtsp(&mut self, table: &Table<'_>, begin: usize) -> Option<SecretUrl> {
        if table.get("rtsp").is_none() {
            let example = "write rtsp = \"rtsp://user:password@192.168.0.186:554/stream1\"";
            self.missing(table, "rtsp", begin, example);
        }
        let (text, at) = table.text("rtsp", self.report)?;
        template::expand_url(text, self.env)
            .map_err(|refusal| self.report.add(at, &table.path_of("rtsp"), refusal))
            .ok()
    }

    /// A key that a variable overrides. The file's value is checked in any case.
    /// `Some(None)`: said nowhere.
    fn setting<T>(
        &mut self,
        table: &Table<'_>,
        key: &str,
        variable: &'static str,
        parse: impl Fn(&str, Given) -> Result<T, Refusal>,
    ) -> Option<Option<T>> {
        let from_file = self.text(table, key, &parse);
        let Some(value) = self.env.var(variable).filter(|value| !value.is_empty()) else {
            return from_file;
        };
        let parsed = match value.to_str() {
            Some(text) => parse(text, Given::new(text)),
            None => Err(Refusal::NotUtf8),
        };
        let from_variable = parsed
            .map_err(|refusal| self.report.add_variable(variable, refusal))
            .ok()?;
        from_file.map(|_| Some(from_variable))
    }

    /// A string, substituted and parsed. `Some(None)`: not there.
    fn text<T>(
        &mut self,
        table: &Table<'_>,
        key: &str,
        parse: impl Fn(&str, Given) -> Result<T, Refusal>,
    ) -> Option<Option<T>> {
        if table.get(key).is_none() {
            return Some(None);
        }
        let (text, at) = table.text(key, self.report)?;
        template::expand(text, self.env)
            .and_then(|value| parse(&value, Given::new(text)))
            .map_err(|refusal| self.report.add(at, &table.path_of(key), refusal))
            .ok()
            .map(Some)
    }

    fn missing(&mut self, table: &Table<'_>, key: &str, begin: usize, example: &'static str) {
        let refusal = Refusal::Missing { example };
        self.report.add(begin, &table.path_of(key), refusal);
    }

    fn wrong_type(
        &mut self,
        value: &Spanned<DeValue<'_>>,
        key: &str,
        expected: &'static str,
        found: &DeValue<'_>,
    ) {
        let found = article(found);
        let refusal = Refusal::WrongType { expected, found };
        self.report.add(value.span().start, key, refusal);
    }
}

/// What problems of a camera are filed under: its id as written if that is one, else its number.
fn camera_path(number: usize, table: &DeValue<'_>) -> String {
    let id = ["id", "cameraID"].into_iter().find_map(|name| {
        table
            .get(name)?
            .get_ref()
            .as_str()?
            .parse::<CameraId>()
            .ok()
    });
    match id {
        Some(id) => format!("camera.{id}"),
        None => format!("camera.#{number}"),
    }
}

fn parse_listen(text: &str, given: Given) -> Result<SocketAddr, Refusal> {
    text.parse().map_err(|_| Refusal::Listen { given })
}

fn parse_folder(text: &str, _: Given) -> Result<PathBuf, Refusal> {
    if text.is_empty() {
        return Err(Refusal::EmptyPath);
    }
    Ok(PathBuf::from(text))
}

fn parse_auth(text: &str, given: Given) -> Result<Auth, Refusal> {
    match text {
        "none" => Ok(Auth::None),
        _ => Err(Refusal::Choice {
            given,
            allowed: Auth::NAMES,
        }),
    }
}

fn parse_transport(text: &str, given: Given) -> Result<Transport, Refusal> {
    match text {
        "tcp" => Ok(Transport::Tcp),
        "udp" => Ok(Transport::Udp),
        _ => Err(Refusal::Choice {
            given,
            allowed: Transport::NAMES,
        }),
    }
}
