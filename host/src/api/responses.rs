//! What operations have in common in the OpenAPI document: the errors that most of them can answer, and the header that names
//! the tenant. An operation's own description of a status comes first.

use axum::http::StatusCode;
use strum::VariantArray as _;
use utoipa::openapi::header::{Header, HeaderBuilder};
use utoipa::openapi::path::{Operation, Parameter, ParameterBuilder, ParameterIn, PathItem};
use utoipa::openapi::{
    Components, Content, ObjectBuilder, OpenApi, Ref, RefOr, Required, Response, ResponseBuilder, Type,
};

use super::ErrorCode;

/// The operations that can answer with a status.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Of {
    /// All.
    All,
    /// Those that require an API key once the host has one.
    WithKey,
    /// Those with a body.
    WithBody,
}

/// An error that many operations can answer.
struct Common {
    /// Its name among the components of the document.
    name: &'static str,
    status: StatusCode,
    of: Of,
    /// When it is answered.
    when: &'static str,
}

const COMMON: [Common; 10] = [
    Common {
        name: "BadRequest",
        status: StatusCode::BAD_REQUEST,
        of: Of::WithKey,
        when: "A parameter, the header `Forge-Tenant` or the body is invalid.",
    },
    Common {
        name: "Unauthorized",
        status: StatusCode::UNAUTHORIZED,
        of: Of::WithKey,
        when: "The request has no API key, or one that is unknown, revoked or expired.",
    },
    Common {
        name: "Forbidden",
        status: StatusCode::FORBIDDEN,
        of: Of::All,
        when: "The API key does not allow it, the tenant is suspended or has reached a limit, or a web page of another site sent \
               the request.",
    },
    Common {
        name: "NotFound",
        status: StatusCode::NOT_FOUND,
        of: Of::WithKey,
        when: "What the path or the header `Forge-Tenant` names does not exist.",
    },
    Common {
        name: "BodyTimeout",
        status: StatusCode::REQUEST_TIMEOUT,
        of: Of::WithBody,
        when: "The body does not arrive in time.",
    },
    Common {
        name: "BodyTooLarge",
        status: StatusCode::PAYLOAD_TOO_LARGE,
        of: Of::WithBody,
        when: "The body is too large.",
    },
    Common {
        name: "UnsupportedMediaType",
        status: StatusCode::UNSUPPORTED_MEDIA_TYPE,
        of: Of::WithBody,
        when: "The body has another content type, or a content encoding.",
    },
    Common {
        name: "TooManyRequests",
        status: StatusCode::TOO_MANY_REQUESTS,
        of: Of::All,
        when: "A rate of the tenant is exceeded, or its clients do not read their answers. Nothing was done.",
    },
    Common {
        name: "InternalError",
        status: StatusCode::INTERNAL_SERVER_ERROR,
        of: Of::WithKey,
        when: "The host failed. The details are in its log.",
    },
    Common {
        name: "Unavailable",
        status: StatusCode::SERVICE_UNAVAILABLE,
        of: Of::WithKey,
        when: "The host cannot do it now. After `outcome_unknown` and `node_silent`, it may have been done, or be done later. \
               After other codes, nothing was done.",
    },
];

/// The name of the parameter `Forge-Tenant` among the components.
const TENANT_NAME: &str = "ForgeTenant";

/// Completes the document.
pub(super) fn complete(document: &mut OpenApi) {
    let components = document.components.get_or_insert_default();
    describe(components);
    for operation in document.paths.paths.values_mut().flat_map(operations) {
        let with_key = has_key(operation);
        let answers = |of: Of| match of {
            Of::All => true,
            Of::WithKey => with_key,
            Of::WithBody => operation.request_body.is_some(),
        };
        let common: Vec<&Common> = COMMON.iter().filter(|common| answers(common.of)).collect();
        let responses = &mut operation.responses.responses;
        for Common { name, status, .. } in common {
            let response = || Ref::from_response_name(*name).into();
            responses.entry(status.as_str().to_owned()).or_insert_with(response);
        }
        for (status, response) in responses {
            if let RefOr::T(response) = response {
                add_retry_after(status, response);
            }
        }
        if with_key {
            let parameter = RefOr::Ref(Ref::new(format!("#/components/parameters/{TENANT_NAME}")));
            operation.parameters.get_or_insert_default().push(parameter);
        }
    }
}

/// Adds what the operations refer to.
fn describe(components: &mut Components) {
    for Common { name, status, when, .. } in &COMMON {
        let of_status = ErrorCode::VARIANTS.iter().filter(|code| code.status() == *status);
        let codes: Vec<String> =
            of_status.filter(|code| is_of_operation(**code)).map(|code| format!("`{code}`")).collect();
        let mut response = ResponseBuilder::new()
            .description(format!("{when} Codes: {}.", codes.join(", ")))
            .content("application/json", Content::new(Some(Ref::from_schema_name("ErrorBody"))))
            .build();
        add_retry_after(status.as_str(), &mut response);
        components.responses.insert((*name).to_owned(), response.into());
    }
    components.parameters.insert(TENANT_NAME.to_owned(), RefOr::T(tenant()));
}

/// Returns whether an operation can answer with a code. The others are for requests that reach none.
fn is_of_operation(code: ErrorCode) -> bool {
    !matches!(code, ErrorCode::UnknownRoute | ErrorCode::MethodNotAllowed)
}

fn tenant() -> Parameter {
    ParameterBuilder::new()
        .name("Forge-Tenant")
        .parameter_in(ParameterIn::Header)
        .required(Required::False)
        .description(Some("The tenant for which a key of the host acts; `default` if absent."))
        .schema(Some(ObjectBuilder::new().schema_type(Type::String)))
        .build()
}

/// Adds the header `Retry-After` to a response with 429 or 503.
fn add_retry_after(status: &str, response: &mut Response) {
    let statuses = [StatusCode::TOO_MANY_REQUESTS, StatusCode::SERVICE_UNAVAILABLE];
    if statuses.iter().any(|with| with.as_str() == status) {
        let seconds: Header = HeaderBuilder::new()
            .description(Some("Seconds after which the request can be sent again."))
            .schema(Some(ObjectBuilder::new().schema_type(Type::Integer)))
            .build();
        response.headers.insert("Retry-After".to_owned(), seconds.into());
    }
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    let PathItem { get, put, post, delete, patch, .. } = item;
    [get, put, post, delete, patch].into_iter().flatten()
}

/// Returns whether an operation requires an API key: it has a scope.
fn has_key(operation: &Operation) -> bool {
    let security = serde_json::to_value(&operation.security).unwrap_or_default();
    security[0].as_object().is_some_and(|schemes| !schemes.is_empty())
}
