//! Rebuilds when a migration is added: `sqlx::migrate!` sees only the files that were there.

#[expect(
    clippy::print_stdout,
    reason = "this is how a build script talks to cargo"
)]
fn main() {
    println!("cargo:rerun-if-changed=../../migrations");
}
