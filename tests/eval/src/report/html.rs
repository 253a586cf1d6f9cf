//! x
/// x
pub fn comparison(_c: &crate::compare::Comparison, _all: bool) -> String {
    String::new()
}
