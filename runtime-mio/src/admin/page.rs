//! The dashboard: static files in the binary, each at its path.

use axum::Router;
use axum::http::header;
use axum::response::IntoResponse;
use axum::routing::get;

/// Path, media type, text.
const FILES: &[(&str, &str, &str)] =
    &[("/", "text/html; charset=utf-8", include_str!("page/index.html"))];

/// A route for each file.
pub(super) fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    FILES.iter().fold(Router::new(), |router, (path, media_type, text)| {
        let file = || async { ([(header::CONTENT_TYPE, *media_type)], *text).into_response() };
        router.route(path, get(file))
    })
}
