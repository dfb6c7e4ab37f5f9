//! Forms that pages send without a script.

use axum::body::Body;
use axum::http::HeaderMap;

use super::ApiError;
use super::body::{self, BodyLimit};
use crate::encoding;

/// The maximum size of a form: some short fields.
const FORM: BodyLimit = BodyLimit::fixed(8 << 10);

/// The media type of a form.
const FORM_TYPE: &str = "application/x-www-form-urlencoded";

/// The fields of a form.
pub(crate) struct Form(Vec<(String, String)>);

impl Form {
    /// Reads the body of a request.
    pub(crate) async fn read(headers: &HeaderMap, body: Body) -> Result<Self, ApiError> {
        let bytes = body::read(headers, body, FORM, "the form").await?;
        let media_type = body::media_type(headers);
        if media_type.as_deref() != Some(FORM_TYPE) {
            return Err(ApiError::unsupported_media_type(media_type.as_deref(), FORM_TYPE));
        }
        let text = encoding::utf8(&bytes).map_err(|why| ApiError::invalid_body(format!("the form {why}")))?;
        let fields = url::form_urlencoded::parse(text.as_bytes());
        Ok(Self(fields.map(|(name, value)| (name.into_owned(), value.into_owned())).collect()))
    }

    /// Returns a field without white space around it; empty if there is none.
    pub(crate) fn field(&self, name: &str) -> &str {
        self.0.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value.trim())
    }
}
