//! The dashboard: static files in the binary, each at its path.
//!
//! A browser runs them as they are, without a build step and without anything from elsewhere. In
//! `page/`, `app.js` asks and the other scripts draw.

use axum::Router;
use axum::http::header;
use axum::response::IntoResponse;
use axum::routing::get;

/// Path, media type, text.
const FILES: &[(&str, &str, &str)] = &[
    ("/", "text/html; charset=utf-8", include_str!("page/index.html")),
    ("/style.css", "text/css; charset=utf-8", include_str!("page/style.css")),
    ("/icon.svg", "image/svg+xml", include_str!("page/icon.svg")),
    ("/app.js", SCRIPT, include_str!("page/app.js")),
    ("/channels.js", SCRIPT, include_str!("page/channels.js")),
    ("/dom.js", SCRIPT, include_str!("page/dom.js")),
    ("/figures.js", SCRIPT, include_str!("page/figures.js")),
    ("/overview.js", SCRIPT, include_str!("page/overview.js")),
    ("/why.js", SCRIPT, include_str!("page/why.js")),
    ("/words.js", SCRIPT, include_str!("page/words.js")),
];

const SCRIPT: &str = "text/javascript; charset=utf-8";

/// A route for each file.
pub(super) fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    FILES.iter().fold(Router::new(), |router, (path, media_type, text)| {
        let file = || async { ([(header::CONTENT_TYPE, *media_type)], *text).into_response() };
        router.route(path, get(file))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a page may weigh that is drawn on a phone over a slow tunnel.
    const BYTES_MAX: usize = 60_000;

    /// What stands before the name of a file.
    const MARKS: [&str; 4] =
        ["src=\"", "from \"./", "rel=\"icon\" href=\"", "rel=\"stylesheet\" href=\""];

    #[test]
    fn every_file_that_the_page_names_is_served() {
        let named: Vec<_> = FILES
            .iter()
            .flat_map(|(.., text)| MARKS.iter().flat_map(|mark| text.split(mark).skip(1)))
            .filter_map(|rest| rest.split('"').next())
            .collect();
        assert!(named.contains(&"app.js") && named.contains(&"dom.js"), "{named:?}");
        for name in named {
            let served = FILES.iter().any(|(path, ..)| path.strip_prefix('/') == Some(name));
            assert!(served, "{name:?} is named and not served");
        }
    }

    #[test]
    fn the_page_is_small() {
        let bytes: usize = FILES.iter().map(|(.., text)| text.len()).sum();
        assert!(bytes < BYTES_MAX, "{bytes} bytes");
    }
}
