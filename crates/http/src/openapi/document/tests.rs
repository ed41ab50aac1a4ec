//! The description is of all that is there, and of nothing else.

use std::{collections::BTreeSet, path::Path, sync::Arc};

use actix_web::test::{TestRequest, call_service, init_service, read_body};
use dayreel_archive::{Retention, SystemDisk};
use dayreel_config::{Auth, BasePath, DEFAULT_LISTEN, Server};
use dayreel_core::SystemClock;

use super::*;
use crate::{access::Gate, app::App, crowd::Crowd, server};

/// A path of the document, with the examples in it.
fn example_path(shown: &str, operation: &Value) -> String {
    let parameters = operation["parameters"].as_array().unwrap();
    let of_path = parameters.iter().filter(|one| one["in"] == "path");
    of_path.fold(shown.to_owned(), |path, one| {
        let example = one["example"].as_str().map(str::to_owned);
        let example = example.unwrap_or_else(|| one["example"].to_string());
        let name = format!("{{{}}}", one["name"].as_str().unwrap());
        assert!(path.contains(&name), "{path} has no {name}");
        path.replace(&name, &example)
    })
}

/// Method, path and what is said of it.
fn operations(document: &Value) -> Vec<(String, String, Value)> {
    let paths = document["paths"].as_object().unwrap();
    let of_path = |(path, methods): (&String, &Value)| {
        let methods = methods.as_object().unwrap();
        let all = methods.iter();
        let all = all.map(|(method, said)| (method.to_uppercase(), path.clone(), said.clone()));
        all.collect::<Vec<_>>()
    };
    paths.iter().flat_map(of_path).collect()
}

#[test]
fn every_route_of_the_table_is_described_and_nothing_else() {
    let routes = Routes::all();
    let described: BTreeSet<_> = operations(&document("/"))
        .into_iter()
        .map(|(method, path, _)| (path, method))
        .collect();
    // HEAD is GET without a body.
    let table = routes.table.iter();
    let table: Vec<_> = table
        .filter(|(_, method, _)| method != Method::HEAD)
        .collect();
    assert!(table.len() > 30, "{table:?}");
    assert_eq!(table.len(), routes.operations.len());
    let mut shown = BTreeSet::new();
    for ((path, method, needs), operation) in table.into_iter().zip(&routes.operations) {
        assert_eq!((method, needs), (&operation.method, &operation.needs));
        // What reads several parts as one is written as these.
        let begin = path.split_once(":.*").map_or(*path, |(begin, _)| {
            begin.rsplit_once('{').map_or(begin, |(begin, _)| begin)
        });
        let is_same = operation.shown == *path || operation.shown.starts_with(begin);
        assert!(is_same, "{path} is shown as {}", operation.shown);
        shown.insert((operation.shown.to_owned(), method.to_string()));
    }
    assert_eq!(described, shown);
}

#[test]
fn every_operation_says_what_it_needs_and_answers() {
    let document = document("/");
    let mut ids = BTreeSet::new();
    for (method, path, said) in operations(&document) {
        let id = said["operationId"].as_str().unwrap();
        assert!(ids.insert(id.to_owned()), "{id} comes twice");
        assert!(!said["summary"].as_str().unwrap().is_empty(), "{id}");
        let answers = said["responses"].as_object().unwrap();
        assert!(
            answers.keys().any(|status| status < &"400".to_owned()),
            "{id}"
        );
        assert!(answers.contains_key("403"), "{id}");
        let of_camera = path.contains("{cam}");
        assert!(!of_camera || answers.contains_key("404"), "{method} {path}");
        for one in said["parameters"].as_array().unwrap() {
            assert!(!one["example"].is_null(), "{id}: {one}");
        }
        // A list or an object of ours has an example.
        for (status, answer) in answers.iter().filter(|(status, _)| *status == "200") {
            let json = &answer["content"]["application/json"];
            let is_own = json["schema"]["$ref"].is_string() || json["schema"]["items"].is_object();
            assert!(!is_own || !json["example"].is_null(), "{id}: {status}");
        }
    }
}

#[test]
fn what_is_referred_to_is_there() {
    fn references(value: &Value, found: &mut BTreeSet<String>) {
        match value {
            Value::Object(fields) => {
                let own = fields.get("$ref").and_then(Value::as_str);
                found.extend(own.map(str::to_owned));
                fields.values().for_each(|value| references(value, found));
            }
            Value::Array(values) => values.iter().for_each(|value| references(value, found)),
            _ => {}
        }
    }
    let document = document("/");
    let mut found = BTreeSet::new();
    references(&document, &mut found);
    assert!(found.len() > 10, "{found:?}");
    for reference in found {
        let pointer = reference.strip_prefix('#').unwrap();
        assert!(document.pointer(pointer).is_some(), "{reference}");
    }
}

#[actix_web::test]
async fn every_path_of_the_description_leads_to_its_route() {
    let server = Server {
        listen: DEFAULT_LISTEN,
        data_dir: "/nonexistent".into(),
        require_marker: false,
        min_free_bytes: 0,
        timezone: chrono_tz::UTC,
        auth: Auth::None,
        trusted_proxies: Vec::new(),
        base_path: BasePath::default(),
        tls: None,
    };
    let gate = Gate::new(Path::new("/nonexistent"), &server, &[]).unwrap();
    let retention = Retention::new([], 0, Box::new(SystemDisk));
    let app = App::new([], Arc::new(SystemClock), Arc::new(retention), gate, None);
    let app = Arc::new(app);
    let service = init_service(server::application(app, Crowd::of_bodies())).await;
    for (method, shown, said) in operations(&document("/")) {
        let path = example_path(&shown, &said);
        assert!(!path.contains('{'), "{path}");
        let asked = TestRequest::with_uri(&path)
            .method(method.parse().unwrap())
            .peer_addr("127.0.0.1:1".parse().unwrap());
        let answer = call_service(&service, asked.to_request()).await;
        let status = answer.status().as_u16();
        let is_described = !said["responses"][status.to_string()].is_null();
        // A form that is not there is no form.
        let is_form = !said["requestBody"].is_null();
        assert!(is_described || is_form, "{method} {path}: {status}");
        let body = read_body(answer).await;
        let error: Value = serde_json::from_slice(&body).unwrap_or_default();
        let code = &error["error"]["code"];
        assert_ne!(code, "method_not_allowed", "{method} {path}");
        // The one asset of the example is not there.
        let is_asset = shown.starts_with("/assets/");
        assert!(code != "unknown_path" || is_asset, "{method} {path}");
    }
}
