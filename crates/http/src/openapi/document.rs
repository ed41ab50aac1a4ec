//! The description as a document: OpenAPI 3.1.

use std::collections::BTreeMap;

use actix_web::http::Method;
use serde_json::{Map, Value, json};
use utoipa::{PartialSchema as _, ToSchema as _};

use super::{Answer, Operation, Parameter, Says, one_of, schema_ref, text, whole};
use crate::{access::Who, error::ErrorAnswer, routes::Routes};

const ABOUT: &str = "\
Live HLS and MPEG-DASH of IP cameras, a day at a time; pictures, moments and timelapses.

- What is read with GET answers HEAD, too. A slash at the end of a path never matters.
- Every error is `{\"error\":{\"code\":…,\"message\":…}}`; codes are stable words.
- Where users are configured, send a name and password, a token, or the cookie of a session. A browser \
  that asks for a page is sent to `/login` instead of 401.
- `/api/link/{ticket}/{path}` is `{path}` for everybody who has the link; `POST /api/links` makes one.";

/// The description of all routes, below `base` (`/`, or `/cameras`).
pub(crate) fn document(base: &str) -> Value {
    let operations = Routes::all().operations;
    let mut paths = BTreeMap::<_, Map<_, _>>::new();
    let mut schemas = Map::new();
    let mut sections = Vec::new();
    schemas.insert(ErrorAnswer::name().into(), value(&ErrorAnswer::schema()));
    let mut nested = Vec::new();
    ErrorAnswer::schemas(&mut nested);
    for operation in &operations {
        nested.extend(operation.says.schemas.iter().cloned());
        let methods = paths.entry(operation.shown).or_default();
        let name = operation.method.as_str().to_ascii_lowercase();
        methods.insert(name, of_operation(operation));
        if !sections.contains(&operation.section) {
            sections.push(operation.section);
        }
    }
    schemas.extend(
        nested
            .iter()
            .map(|(name, schema)| (name.clone(), value(schema))),
    );
    let sections: Vec<_> = sections
        .iter()
        .map(|name| json!({ "name": name }))
        .collect();
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Dayreel",
            "summary": "An IP camera server",
            "description": ABOUT,
            "version": env!("CARGO_PKG_VERSION"),
            "license": { "name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0" },
        },
        "servers": [{ "url": base }],
        "tags": sections,
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "password": { "type": "http", "scheme": "basic" },
                "token": { "type": "http", "scheme": "bearer", "description": "Of `POST /api/token`" },
                "session": {
                    "type": "apiKey", "in": "cookie", "name": crate::access::COOKIE,
                    "description": "Of `POST /login`",
                },
            },
        },
    })
}

fn value(schema: &impl serde::Serialize) -> Value {
    serde_json::to_value(schema).unwrap_or_default()
}

fn of_operation(operation: &Operation) -> Value {
    let Operation {
        shown, needs, says, ..
    } = operation;
    let names = names(shown);
    let of_path = names.iter().map(|name| {
        let own = says.path.iter().find(|own| own.name == *name);
        own.map_or_else(
            || parameter("path", &common(name)),
            |own| parameter("path", own),
        )
    });
    let of_query = says.query.iter().map(|own| parameter("query", own));
    let parameters: Vec<_> = of_path.chain(of_query).collect();
    let mut described = json!({
        "operationId": says.id,
        "summary": says.summary,
        "tags": [operation.section],
        "parameters": parameters,
        "responses": responses(operation, &names),
        // Nobody has to log in where there are no users.
        "security": match needs.who {
            Who::Anybody => json!([]),
            _ => json!([{ "password": [] }, { "token": [] }, { "session": [] }, {}]),
        },
    });
    let details = details(operation);
    if !details.is_empty() {
        described["description"] = details.into();
    }
    if !says.form.is_empty() {
        described["requestBody"] = form(says);
    }
    described
}

fn details(operation: &Operation) -> String {
    let needs = operation.needs;
    let who = match needs.who {
        Who::Anybody => "For everybody.",
        Who::User => "For everybody who is logged in.",
        Who::Camera => "For who may see the camera.",
        Who::EveryCamera => "For who may see all cameras.",
        Who::Admin => "For admins.",
    };
    let by_get = match needs.changes && operation.method == Method::GET {
        true => {
            " Where there are users, GET needs a token, or our own page: others may link to it."
        }
        false => "",
    };
    format!("{} {who}{by_get}", operation.says.details)
        .trim()
        .to_owned()
}

fn form(says: &Says) -> Value {
    let required: Vec<_> = says.form.iter().filter(|field| field.required).collect();
    let required: Vec<_> = required.iter().map(|field| field.name).collect();
    let field = |field: &Parameter| {
        let described = json!({ "type": "string", "description": field.description });
        (field.name.to_owned(), described)
    };
    let fields: Map<_, _> = says.form.iter().map(field).collect();
    let schema = json!({ "type": "object", "properties": fields, "required": required });
    json!({
        "required": true,
        "content": { "application/x-www-form-urlencoded": { "schema": schema } },
    })
}

/// What the operation says, and what all of its kind may answer.
fn responses(operation: &Operation, names: &[&str]) -> Value {
    let mut responses = BTreeMap::new();
    for answer in &operation.says.answers {
        responses.insert(answer.status.to_string(), of_answer(answer));
    }
    let mut also = |status: u16, description: &str| {
        responses
            .entry(status.to_string())
            .or_insert_with(|| refusal(description));
    };
    also(403, "You may not do this, or nobody may from where you are");
    if operation.needs.who != Who::Anybody {
        also(401, "Log in");
        also(429, "Too many wrong passwords: wait");
    }
    if names.contains(&"cam") {
        also(404, "There is no such camera");
    }
    if !operation.says.query.is_empty() || !operation.says.form.is_empty() {
        also(400, "What is sent cannot be understood");
    }
    value(&responses)
}

fn refusal(description: &str) -> Value {
    json!({
        "description": description,
        "content": { "application/json": { "schema": schema_ref::<ErrorAnswer>() } },
    })
}

fn of_answer(answer: &Answer) -> Value {
    let mut described = json!({ "description": answer.description });
    for body in &answer.bodies {
        let mut content = json!({ "schema": body.schema });
        if let Some(example) = &body.example {
            content["example"] = example.clone();
        }
        described["content"][body.media_type] = content;
    }
    described
}

fn parameter(place: &str, of: &Parameter) -> Value {
    json!({
        "name": of.name, "in": place, "description": of.description, "required": of.required,
        "schema": of.schema, "example": of.example,
    })
}

/// The names in a path.
fn names(shown: &'static str) -> Vec<&'static str> {
    let parts = shown.split('{').skip(1);
    parts.filter_map(|part| part.split('}').next()).collect()
}

/// What a part of a path means wherever it stands.
fn common(name: &'static str) -> Parameter {
    let (description, schema, example) = match name {
        "cam" => (
            "The camera's id",
            json!({ "type": "string", "pattern": "^[a-zA-Z0-9_-]{1,64}$" }),
            json!("front-door"),
        ),
        "day" => (
            "`today`, a weekday 0 (Monday) to 6, the latest that is over, or a date",
            json!({ "anyOf": [
                one_of(&["today"]), json!({ "type": "string", "pattern": "^[0-6]$" }),
                json!({ "type": "string", "format": "date" }),
            ]}),
            json!("today"),
        ),
        "time" => ("RFC 3339, or HH:MM:SS of today", text(), json!("00:00:00")),
        "year" => ("Of the local date", whole(&(1970..=9999)), json!(2026)),
        "month" => ("Of the local date", whole(&(1..=12)), json!(11)),
        "hour" => ("Of the local time", whole(&(0..=23)), json!(17)),
        "minute" => ("Of the local time", whole(&(0..=59)), json!(3)),
        "second" => ("Of the local time", whole(&(0..=59)), json!(5)),
        _ => (
            "The name of a file, as documents say it",
            text(),
            json!("v-1.m4s"),
        ),
    };
    Parameter {
        name,
        description,
        schema,
        example,
        required: true,
    }
}

#[cfg(test)]
mod tests;
