//! From the tree of the file and the environment to checked settings, in one step.

mod mqtt;
mod users;
mod webhooks;

use std::{
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

use chrono_tz::Tz;
use dayreel_core::CameraId;
use ipnet::IpNet;
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use crate::{
    base_path::BasePath,
    document::{Key, Report, Table, article},
    env::EnvSource,
    problem::{Given, Place, Problem, Refusal},
    secret_url::SecretUrl,
    settings::{
        Auth, Camera, DEFAULT_DATA_DIR, DEFAULT_FRAME_MAX_AGE_S, DEFAULT_GIF_MAX_BYTES,
        DEFAULT_LISTEN, DEFAULT_MIN_FREE_BYTES, DEFAULT_SEGMENT_S, GIF_MAX_BYTES_RANGE,
        MAX_BYTES_RANGE, MAX_DATED_DAYS_TO_KEEP, MAX_DAYS_TO_KEEP, MAX_FRAME_MAX_AGE_S,
        MAX_SEGMENT_S, MAX_TIMELAPSE_FPS, MAX_TIMELAPSE_INTERVAL_S, OnLoss, Server, Settings,
        TIMELAPSE_WIDTHS, Timelapse, Tls, Transport,
    },
    template, timezone,
    trust::{Fingerprint, Trust},
    variables::Variables,
    warning::Warning,
};

/// Ids of cameras, and where they are.
type Taken = Vec<(CameraId, Place)>;

const ROOT_KEYS: &[Key] = &[
    Key::new("server"),
    Key::new("camera"),
    Key::new("users"),
    Key::new("webhooks"),
    Key::new("mqtt"),
];

/// Keys of `[server]`.
pub(crate) const SERVER_KEYS: &[Key] = &[
    Key::text("listen"),
    Key::text("data_dir"),
    Key::new("require_marker"),
    Key::new("min_free_bytes"),
    Key::text("timezone"),
    Key::text("auth"),
    Key::new("trusted_proxies"),
    Key::text("base_path"),
    Key::text("tls_certificate"),
    Key::text("tls_key"),
];

/// Keys of `[[users]]`.
pub(crate) const USER_KEYS: &[Key] = &[
    Key::text("name"),
    Key::text("password"),
    Key::text("role"),
    Key::new("cameras"),
];

/// Keys of `[[webhooks]]`.
pub(crate) const WEBHOOK_KEYS: &[Key] =
    &[Key::text("url"), Key::text("secret"), Key::new("events")];

/// Keys of `[mqtt]`.
pub(crate) const MQTT_KEYS: &[Key] = &[
    Key::text("url"),
    Key::text("user"),
    Key::text("password"),
    Key::new("tls_verify"),
    Key::text("tls_fingerprint"),
    Key::text("topic_prefix"),
    Key::new("discovery"),
    Key::text("discovery_prefix"),
    Key::new("snapshot_interval_s"),
];

/// Keys of `[[camera]]`.
pub(crate) const CAMERA_KEYS: &[Key] = &[
    Key::text("id").or(&["cameraID"]),
    Key::text("rtsp"),
    Key::text("rtsp_preview"),
    Key::new("days_to_keep").or(&["daysToKeep"]),
    Key::new("max_bytes"),
    Key::new("moments_days_to_keep"),
    Key::new("timelapse_days_to_keep"),
    Key::text("timezone"),
    Key::text("transport"),
    Key::new("tls_verify"),
    Key::text("tls_fingerprint"),
    Key::text("on_loss"),
    Key::new("audio"),
    Key::new("segment_s"),
    Key::new("frame_max_age_s"),
    Key::new("gif_max_bytes"),
    Key::new("timelapse"),
    Key::new("timelapse_interval_s"),
    Key::new("timelapse_width"),
    Key::new("timelapse_fps"),
];

/// Settings and warnings of the file's `text` and of `env`, or everything that is wrong with them.
pub(crate) fn resolve(
    text: &str,
    env: &dyn EnvSource,
) -> Result<(Settings, Vec<Warning>), Vec<Problem>> {
    let (variables, problems) = Variables::read(env);
    let mut in_file = Report::of_file(text);
    let mut in_variables = Report::of_variables(&variables, problems);
    let mut warnings = Vec::new();
    let mut settings = None;
    if let (Some(file), Some(variables)) = (in_file.parse(), in_variables.parse()) {
        let mut file = Resolver::new(env, &file, &mut in_file);
        let mut variables = Resolver::new(env, &variables, &mut in_variables);
        let server = variables.server().or(file.server());
        let server = server.complete(env, &mut warnings);
        let (zone, mut taken) = (server.timezone, Vec::new());
        let cameras = file.cameras(zone, &mut taken);
        let added = variables.cameras(zone, &mut taken);
        if let (Some(mut cameras), Some(added)) = (cameras, added) {
            cameras.extend(added);
            if cameras.is_empty() && variables.report.is_empty() {
                file.report.add(0, "camera", Refusal::NoCamera);
            }
            let cameras: Option<Vec<Camera>> = cameras.into_iter().collect();
            let ids: Vec<_> = taken.into_iter().map(|(id, _)| id).collect();
            let mut taken = Vec::new();
            let users = file.users(&ids, &mut taken);
            let users = all(users, variables.users(&ids, &mut taken));
            let webhooks = all(file.webhooks(), variables.webhooks());
            let mqtt = mqtt::resolve(&mut file, &mut variables);
            if server.auth == Auth::None && !taken.is_empty() {
                refuse(&mut file, &mut variables, "auth", Refusal::NoneWithUsers);
            }
            // A proxy that takes the base path off asks for the camera; one that does not, for all.
            let first = server.base_path.first().unwrap_or_default();
            if ids.iter().any(|id| id.as_str().eq_ignore_ascii_case(first)) {
                let id = first.to_owned();
                let refusal = Refusal::BasePathIsCamera { id };
                refuse(&mut file, &mut variables, "base_path", refusal);
            }
            if server.auth == Auth::Unsaid && taken.is_empty() && !server.listen.ip().is_loopback()
            {
                let listen = server.listen;
                warnings.push(Warning::OpenToNetwork { listen });
            }
            let lists = cameras.zip(users).zip(webhooks);
            settings = lists.map(|((cameras, users), webhooks)| Settings {
                server,
                cameras,
                users,
                webhooks,
                mqtt,
            });
        }
    }
    let mut problems = in_file.into_problems();
    problems.extend(in_variables.into_problems());
    match settings {
        Some(settings) if problems.is_empty() => Ok((settings, warnings)),
        _ => Err(problems),
    }
}

/// Reports what is wrong with a key of `[server]`, where it is said.
fn refuse(
    file: &mut Resolver<'_, '_>,
    variables: &mut Resolver<'_, '_>,
    key: &str,
    refusal: Refusal,
) {
    let path = format!("server.{key}");
    match variables.server_key_at(key) {
        Some(at) => variables.report.add(at, &path, refusal),
        None => {
            let at = file.server_key_at(key).unwrap_or(0);
            file.report.add(at, &path, refusal);
        }
    }
}

/// What one source says of `[server]`.
struct ServerKeys {
    listen: Option<SocketAddr>,
    data_dir: Option<PathBuf>,
    require_marker: Option<bool>,
    min_free_bytes: Option<u64>,
    timezone: Option<Tz>,
    auth: Option<Auth>,
    trusted_proxies: Option<Vec<IpNet>>,
    base_path: Option<BasePath>,
    tls: Option<Tls>,
}

impl ServerKeys {
    /// These, and for what they do not say `other`.
    fn or(self, other: Self) -> Self {
        Self {
            listen: self.listen.or(other.listen),
            data_dir: self.data_dir.or(other.data_dir),
            require_marker: self.require_marker.or(other.require_marker),
            min_free_bytes: self.min_free_bytes.or(other.min_free_bytes),
            timezone: self.timezone.or(other.timezone),
            auth: self.auth.or(other.auth),
            trusted_proxies: self.trusted_proxies.or(other.trusted_proxies),
            base_path: self.base_path.or(other.base_path),
            tls: self.tls.or(other.tls),
        }
    }

    /// With the defaults.
    fn complete(self, env: &dyn EnvSource, warnings: &mut Vec<Warning>) -> Server {
        let listen = self.listen.unwrap_or(DEFAULT_LISTEN);
        let timezone = self.timezone.unwrap_or_else(|| {
            let (zone, warning) = timezone::of_machine(env);
            warnings.extend(warning);
            zone
        });
        let data_dir = self.data_dir.unwrap_or_else(|| DEFAULT_DATA_DIR.into());
        Server {
            listen,
            data_dir,
            require_marker: self.require_marker.unwrap_or(false),
            min_free_bytes: self.min_free_bytes.unwrap_or(DEFAULT_MIN_FREE_BYTES),
            timezone,
            auth: self.auth.unwrap_or_default(),
            trusted_proxies: self.trusted_proxies.unwrap_or_default(),
            base_path: self.base_path.unwrap_or_default(),
            tls: self.tls,
        }
    }
}

/// Reads one source: the file, or the variables. What is refused goes to the report, and is `None`
/// like what is not said.
struct Resolver<'r, 't> {
    env: &'r dyn EnvSource,
    root: Table<'r>,
    report: &'r mut Report<'t>,
}

impl<'r, 't> Resolver<'r, 't> {
    fn new(env: &'r dyn EnvSource, root: &'r DeTable<'r>, report: &'r mut Report<'t>) -> Self {
        let root = Table::open("", root, ROOT_KEYS, report);
        Self { env, root, report }
    }

    fn server(&mut self) -> ServerKeys {
        let empty = DeTable::new();
        let value = self.root.get("server");
        let table = match value.map(|value| (value, value.get_ref())) {
            None => &empty,
            Some((_, DeValue::Table(table))) => table,
            Some((value, other)) => {
                self.wrong_type(value, "server", "a table: [server]", other);
                &empty
            }
        };
        let table = Table::open("server", table, SERVER_KEYS, self.report);
        let free = (0, MAX_BYTES_RANGE.1);
        ServerKeys {
            listen: self.text(&table, "listen", parse_listen),
            data_dir: self.text(&table, "data_dir", parse_folder),
            require_marker: table.boolean("require_marker", self.report),
            min_free_bytes: table.integer("min_free_bytes", free, "bytes", self.report),
            timezone: self.text(&table, "timezone", timezone::parse),
            auth: self.text(&table, "auth", parse_auth),
            trusted_proxies: self.list(&table, "trusted_proxies", parse_network),
            base_path: self.text(&table, "base_path", |text, _| Ok(text.parse()?)),
            tls: self.tls(&table, value.map_or(0, |value| value.span().start)),
        }
    }

    /// Where a key of `[server]` is said, if it is.
    fn server_key_at(&self, key: &str) -> Option<usize> {
        let server = self.root.get("server")?.get_ref();
        Some(server.get(key)?.span().start)
    }

    /// Both files, or neither.
    fn tls(&mut self, table: &Table<'_>, begin: usize) -> Option<Tls> {
        let keys = ["tls_certificate", "tls_key"];
        let [said, other] = keys.map(|key| table.get(key).is_some());
        match (said, other) {
            (true, false) => self.missing(table, keys[1], begin, "/etc/dayreel/key.pem"),
            (false, true) => self.missing(table, keys[0], begin, "/etc/dayreel/certificate.pem"),
            _ => {}
        }
        let [certificate, key] = keys.map(|key| self.text(table, key, parse_file));
        Some(Tls {
            certificate: certificate?,
            key: key?,
        })
    }

    /// The tables of the list `name`, each read by `read` with its number. `None` if there is no telling
    /// how many.
    fn tables<T>(
        &mut self,
        name: &str,
        expected: &'static str,
        mut read: impl FnMut(&mut Self, usize, &Spanned<DeValue<'_>>) -> Option<T>,
    ) -> Option<Vec<Option<T>>> {
        let Some(value) = self.root.get(name) else {
            return Some(Vec::new());
        };
        let DeValue::Array(tables) = value.get_ref() else {
            self.wrong_type(value, name, expected, value.get_ref());
            return None;
        };
        let numbered = tables.iter().zip(1..);
        let read = numbered.map(|(table, number)| read(self, number, table));
        Some(read.collect())
    }

    /// Opens one of them, and reports which of the keys in `required` are missing, with the example
    /// beside each.
    fn listed<'d>(
        &mut self,
        path: &str,
        value: &'d Spanned<DeValue<'d>>,
        expected: &'static str,
        keys: &'static [Key],
        required: [(&'static str, &'static str); 2],
    ) -> Option<Table<'d>> {
        let DeValue::Table(table) = value.get_ref() else {
            self.wrong_type(value, path, expected, value.get_ref());
            return None;
        };
        let table = Table::open(path, table, keys, self.report);
        for (key, example) in required {
            if table.get(key).is_none() {
                self.missing(&table, key, value.span().start, example);
            }
        }
        Some(table)
    }

    /// `None` if there is no telling how many.
    fn cameras(&mut self, zone: Tz, taken: &mut Taken) -> Option<Vec<Option<Camera>>> {
        let Some(value) = self.root.get("camera") else {
            return Some(Vec::new());
        };
        let tables = match value.get_ref() {
            DeValue::Array(array) => array,
            DeValue::Table(_) => {
                let at = value.span().start;
                self.report.add(at, "camera", Refusal::SingleBrackets);
                return None;
            }
            other => {
                self.wrong_type(value, "camera", "a list of tables: [[camera]]", other);
                return None;
            }
        };
        let numbered = tables.iter().zip(1..);
        let cameras = numbered.map(|(table, number)| self.camera(number, table, zone, taken));
        Some(cameras.collect())
    }

    fn camera(
        &mut self,
        number: usize,
        value: &Spanned<DeValue<'_>>,
        zone: Tz,
        taken: &mut Taken,
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
        let rtsp_preview = self.rtsp_preview(&table, rtsp.as_ref());
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
        let trust = self.trust(&table);
        let on_loss = self.text(&table, "on_loss", parse_on_loss);
        let audio = table.boolean("audio", self.report);
        Some(Camera {
            id: id?,
            rtsp: rtsp?,
            rtsp_preview,
            days_to_keep: days.unwrap_or(MAX_DAYS_TO_KEEP),
            max_bytes,
            moments_days_to_keep,
            timelapse_days_to_keep,
            timezone: timezone.unwrap_or(zone),
            transport: transport.unwrap_or_default(),
            trust,
            on_loss: on_loss.unwrap_or_default(),
            audio: audio.unwrap_or(true),
            segment: Duration::from_secs(segment.unwrap_or(DEFAULT_SEGMENT_S).into()),
            frame_max_age: Duration::from_secs(age.unwrap_or(DEFAULT_FRAME_MAX_AGE_S).into()),
            gif_max_bytes: gif.unwrap_or(DEFAULT_GIF_MAX_BYTES),
            timelapse,
        })
    }

    /// A fingerprint says more than `tls_verify`.
    fn trust(&mut self, table: &Table<'_>) -> Trust {
        let verify = table.boolean("tls_verify", self.report);
        let parse = |text: &str, _| Ok(text.parse::<Fingerprint>()?);
        match (self.text(table, "tls_fingerprint", parse), verify) {
            (Some(fingerprint), _) => Trust::Fingerprint(fingerprint),
            (None, Some(false)) => Trust::Anybody,
            (None, _) => Trust::Roots,
        }
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
    fn id(&mut self, table: &Table<'_>, begin: usize, taken: &mut Taken) -> Option<CameraId> {
        let Some(value) = table.get("id") else {
            self.missing(table, "id", begin, "front-door");
            return None;
        };
        let id = self.text(table, "id", |text, _| Ok(text.parse::<CameraId>()?))?;
        let at = value.span().start;
        let path = table.path_of("id");
        let same =
            |(other, _): &&(CameraId, Place)| other.as_str().eq_ignore_ascii_case(id.as_str());
        if let Some((_, place)) = taken.iter().find(same) {
            let other = place.short();
            self.report.add(at, &path, Refusal::DuplicateId { other });
            return None;
        }
        taken.push((id.clone(), self.report.place(at, &path)));
        Some(id)
    }

    fn rtsp(&mut self, table: &Table<'_>, begin: usize) -> Option<SecretUrl> {
        if table.get("rtsp").is_none() {
            let example = "rtsp://user:password@192.168.0.186:554/stream1";
            self.missing(table, "rtsp", begin, example);
        }
        self.url(table, "rtsp").map(|(url, _)| url)
    }

    /// The sub-stream: another than `main`.
    fn rtsp_preview(&mut self, table: &Table<'_>, main: Option<&SecretUrl>) -> Option<SecretUrl> {
        let (url, at) = self.url(table, "rtsp_preview")?;
        if main == Some(&url) {
            let path = table.path_of("rtsp_preview");
            self.report.add(at, &path, Refusal::PreviewIsMain);
        }
        Some(url)
    }

    /// The address of a stream, and its place.
    fn url(&mut self, table: &Table<'_>, key: &str) -> Option<(SecretUrl, usize)> {
        let (text, at) = table.text(key, self.report)?;
        let url = template::expand_url(text, self.env)
            .map_err(|refusal| self.report.add(at, &table.path_of(key), refusal));
        url.ok().map(|url| (url, at))
    }

    /// A string, substituted and parsed.
    fn text<T>(
        &mut self,
        table: &Table<'_>,
        key: &str,
        parse: impl Fn(&str, Given) -> Result<T, Refusal>,
    ) -> Option<T> {
        let (text, at) = table.text(key, self.report)?;
        template::expand(text, self.env)
            .and_then(|value| parse(&value, Given::new(text)))
            .map_err(|refusal| self.report.add(at, &table.path_of(key), refusal))
            .ok()
    }

    fn missing(
        &mut self,
        table: &Table<'_>,
        key: &'static str,
        begin: usize,
        example: &'static str,
    ) {
        let refusal = Refusal::Missing { key, example };
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

/// All of the file and of the variables, if each is right.
fn all<T>(file: Option<Vec<Option<T>>>, added: Option<Vec<Option<T>>>) -> Option<Vec<T>> {
    let (file, added) = file.zip(added)?;
    file.into_iter().chain(added).collect()
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

fn parse_file(text: &str, _: Given) -> Result<PathBuf, Refusal> {
    if text.is_empty() {
        return Err(Refusal::EmptyFile);
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

/// An address alone is a network of one.
fn parse_network(text: &str, given: Given) -> Result<IpNet, Refusal> {
    let network = text.parse::<IpNet>().ok();
    let address = || text.parse::<IpAddr>().ok().map(IpNet::from);
    network.or_else(address).ok_or(Refusal::Network { given })
}

fn parse_on_loss(text: &str, given: Given) -> Result<OnLoss, Refusal> {
    OnLoss::of(text).ok_or(Refusal::Choice {
        given,
        allowed: OnLoss::NAMES,
    })
}

fn parse_transport(text: &str, given: Given) -> Result<Transport, Refusal> {
    Transport::of(text).ok_or(Refusal::Choice {
        given,
        allowed: Transport::NAMES,
    })
}
