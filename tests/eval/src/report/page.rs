//! The frame of a page that stands alone in a file: nothing is fetched, nothing runs, and nothing in
//! the answers can change that.

use base64::Engine as _;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use sha2::{Digest as _, Sha256};

const STYLE: &str = include_str!("page.css");

/// A page with a title, its sections (id and heading, for the list at the top), and what is in it.
pub(super) fn page(title: &str, sections: &[(&str, &str)], body: Markup) -> String {
    let hash = base64::engine::general_purpose::STANDARD.encode(Sha256::digest(STYLE));
    let policy = format!("default-src 'none'; style-src 'sha256-{hash}'; base-uri 'none'; form-action 'none'");
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(policy);
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="referrer" content="no-referrer";
                title { (title) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                header {
                    h1 { (title) }
                    nav aria-label="Sections" { ul { @for (id, heading) in sections { li { a href={ "#" (id) } { (heading) } } } } }
                }
                main { (body) }
            }
        }
    };
    page.into_string()
}

/// A link, where it is one: an address in a record may be anything.
pub(super) fn link(url: &str, text: &str) -> Markup {
    html! {
        @if ["https://", "http://"].iter().any(|scheme| url.starts_with(scheme)) {
            a href=(url) rel="noreferrer noopener" { (text) }
        } @else { (text) }
    }
}
