//! What the API description (OpenAPI 3.1) says of an operation. It is written beside the route: there
//! is no way to add a route without it.
//!
//! ```text
//! route ─ says("…").query(…).json::<View>(…) ─┐
//! View: Serialize + ToSchema + Example ───────┴▶ document ─▶ /api/openapi.json ─▶ /api/, clients, tests
//! ```
//!
//! Ranges come from the constants that requests are checked against, schemas from the types that are
//! answered, and examples are values of these types: none can say what the code does not.

mod document;

use std::{fmt::Display, ops::RangeInclusive};

use actix_web::http::Method;
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::{
    ToSchema,
    openapi::{ObjectBuilder, RefOr, Schema, Type, schema::SchemaType},
};

use crate::access::Needs;

pub(crate) use document::document;

/// A value that shows what the others look like.
pub(crate) trait Example: Serialize + ToSchema {
    fn example() -> Self;
}

/// A method of a path, with what is said of it.
pub(crate) struct Operation {
    /// The path as people write it.
    pub(crate) shown: &'static str,
    pub(crate) method: Method,
    pub(crate) needs: Needs,
    /// Of the table of contents.
    pub(crate) section: &'static str,
    pub(crate) says: Says,
}

/// What is said of an operation.
pub(crate) struct Says {
    id: &'static str,
    summary: &'static str,
    details: &'static str,
    path: Vec<Parameter>,
    query: Vec<Parameter>,
    /// Fields of the form that is sent.
    form: Vec<Parameter>,
    answers: Vec<Answer>,
    /// Schemas by their names, of what is answered.
    schemas: Vec<(String, RefOr<Schema>)>,
}

/// A part of the path, of the query or of a form.
struct Parameter {
    name: &'static str,
    description: &'static str,
    schema: Value,
    example: Value,
    required: bool,
}

struct Answer {
    status: u16,
    description: &'static str,
    /// In one of these forms.
    bodies: Vec<Body>,
}

struct Body {
    media_type: &'static str,
    schema: Value,
    example: Option<Value>,
}

/// Begins what is said of an operation. `id` is its name in programs that are made of the description.
pub(crate) const fn says(id: &'static str, summary: &'static str) -> Says {
    Says {
        id,
        summary,
        details: "",
        path: Vec::new(),
        query: Vec::new(),
        form: Vec::new(),
        answers: Vec::new(),
        schemas: Vec::new(),
    }
}

impl Says {
    /// More than fits into the summary.
    pub(crate) fn details(mut self, details: &'static str) -> Self {
        self.details = details;
        self
    }

    /// A part of the path that means something else than elsewhere.
    pub(crate) fn path(
        mut self,
        name: &'static str,
        description: &'static str,
        schema: Value,
        example: impl Into<Value>,
    ) -> Self {
        self.path.push(Parameter {
            name,
            description,
            schema,
            example: example.into(),
            required: true,
        });
        self
    }

    /// A parameter of the query that may be left out.
    pub(crate) fn query(
        mut self,
        name: &'static str,
        description: &'static str,
        schema: Value,
        example: impl Into<Value>,
    ) -> Self {
        self.query.push(Parameter {
            name,
            description,
            schema,
            example: example.into(),
            required: false,
        });
        self
    }

    /// The parameter before has to be there.
    pub(crate) fn required(mut self) -> Self {
        if let Some(last) = self.query.last_mut() {
            last.required = true;
        }
        self
    }

    /// A field of the form that is sent.
    pub(crate) fn field(
        mut self,
        name: &'static str,
        description: &'static str,
        required: bool,
    ) -> Self {
        self.form.push(Parameter {
            name,
            description,
            schema: text(),
            example: Value::Null,
            required,
        });
        self
    }

    /// 200 with a `T`.
    pub(crate) fn json<T: Example>(self, description: &'static str) -> Self {
        let schema = schema_ref::<T>();
        self.described::<T>()
            .answer_json(200, description, schema, example(&T::example()))
    }

    /// 200 with a list of `T`.
    pub(crate) fn list<T: Example>(self, description: &'static str) -> Self {
        let schema = json!({ "type": "array", "items": schema_ref::<T>() });
        self.described::<T>()
            .answer_json(200, description, schema, example(&[T::example()]))
    }

    /// Another status with a `T` that is no error.
    pub(crate) fn json_at<T: Example>(self, status: u16, description: &'static str) -> Self {
        self.answer_json(status, description, schema_ref::<T>(), None)
    }

    /// 200 with text, pictures or the like.
    pub(crate) fn media(self, media_type: &'static str, description: &'static str) -> Self {
        self.with(200, description, Some(media_type))
    }

    /// The same, which has a tag: who knows it already gets 304.
    pub(crate) fn tagged(self, media_type: &'static str, description: &'static str) -> Self {
        self.media(media_type, description)
            .answer(304, "It is still what `If-None-Match` says")
    }

    /// The same, of which ranges can be asked for.
    pub(crate) fn file(self, media_type: &'static str, description: &'static str) -> Self {
        self.tagged(media_type, description)
            .with(206, "The range that was asked for", Some(media_type))
            .refuses(416, "There is no such range")
            .refuses(429, "Too much is being sent there already")
    }

    /// What is answered may have this form, too.
    pub(crate) fn or(mut self, media_type: &'static str) -> Self {
        let answers = self.answers.iter_mut();
        for answer in answers.filter(|answer| matches!(answer.status, 200 | 206)) {
            answer.bodies.push(Body {
                media_type,
                schema: json!({}),
                example: None,
            });
        }
        self
    }

    /// An answer without a body.
    pub(crate) fn answer(self, status: u16, description: &'static str) -> Self {
        self.with(status, description, None)
    }

    /// An answer that is an error.
    pub(crate) fn refuses(mut self, status: u16, description: &'static str) -> Self {
        if self.answers.iter().all(|answer| answer.status != status) {
            let schema = schema_ref::<crate::error::ErrorAnswer>();
            self = self.answer_json(status, description, schema, None);
        }
        self
    }

    /// A page that is shown with that status, too.
    pub(crate) fn page_at(self, status: u16, description: &'static str) -> Self {
        self.with(status, description, Some("text/html"))
    }

    fn with(
        mut self,
        status: u16,
        description: &'static str,
        media_type: Option<&'static str>,
    ) -> Self {
        // RFC 8259 texts aside, bytes have no schema (OpenAPI 3.1 §4.8.14.3).
        let body = media_type.map(|media_type| Body {
            media_type,
            schema: json!({}),
            example: None,
        });
        self.answers.push(Answer {
            status,
            description,
            bodies: body.into_iter().collect(),
        });
        self
    }

    fn answer_json(
        mut self,
        status: u16,
        description: &'static str,
        schema: Value,
        example: Option<Value>,
    ) -> Self {
        self.answers.push(Answer {
            status,
            description,
            bodies: vec![Body {
                media_type: "application/json",
                schema,
                example,
            }],
        });
        self
    }

    fn described<T: ToSchema>(mut self) -> Self {
        self.schemas.push((T::name().into_owned(), T::schema()));
        T::schemas(&mut self.schemas);
        self
    }
}

fn schema_ref<T: ToSchema>() -> Value {
    json!({ "$ref": format!("#/components/schemas/{}", T::name()) })
}

fn example(value: &impl Serialize) -> Option<Value> {
    serde_json::to_value(value).ok()
}

/// Of a whole number.
pub(crate) fn whole<N: Display + Serialize>(range: &RangeInclusive<N>) -> Value {
    json!({ "type": "integer", "minimum": range.start(), "maximum": range.end() })
}

/// Of any text.
pub(crate) fn text() -> Value {
    json!({ "type": "string" })
}

/// Of one of these words.
pub(crate) fn one_of(words: &[&str]) -> Value {
    json!({ "type": "string", "enum": words })
}

/// Of one of these words, as part of what is answered; `null`, if it may be.
pub(crate) fn words<'w>(words: impl IntoIterator<Item = &'w str>, or_null: bool) -> Schema {
    let words = words.into_iter().map(Value::from);
    let (kind, words): (_, Vec<_>) = match or_null {
        true => (
            SchemaType::from_iter([Type::String, Type::Null]),
            words.chain([Value::Null]).collect(),
        ),
        false => (SchemaType::new(Type::String), words.collect()),
    };
    ObjectBuilder::new()
        .schema_type(kind)
        .enum_values(Some(words))
        .into()
}
