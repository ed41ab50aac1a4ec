//! What a file is called when it is saved (RFC 6266).

use actix_web::{
    HttpResponse,
    http::header::{
        self, Charset, ContentDisposition, DispositionParam, DispositionType, ExtendedValue,
        HeaderValue,
    },
};

/// Shown in the browser, and called so when it is saved. `labelled` may have any letters
/// (RFC 6266 §4.3).
pub(crate) fn shown(plain: String, labelled: Option<String>) -> ContentDisposition {
    let mut parameters = vec![DispositionParam::Filename(plain)];
    parameters.extend(labelled.map(|name| {
        DispositionParam::FilenameExt(ExtendedValue {
            charset: Charset::Ext("UTF-8".into()),
            language_tag: None,
            value: name.into_bytes(),
        })
    }));
    ContentDisposition {
        disposition: DispositionType::Inline,
        parameters,
    }
}

/// Saved, and called so.
pub(crate) fn saved(plain: String) -> ContentDisposition {
    ContentDisposition {
        disposition: DispositionType::Attachment,
        parameters: vec![DispositionParam::Filename(plain)],
    }
}

/// Says in `response` what it is called.
pub(crate) fn call(response: &mut HttpResponse, called: &ContentDisposition) {
    if let Ok(called) = HeaderValue::try_from(called.to_string()) {
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_DISPOSITION, called);
    }
}
