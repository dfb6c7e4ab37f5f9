#!/bin/sh
# Makes a rustup toolchain that compiles for wasm32-unknown-unknown from Debian's packages rustc-web, cargo-web and
# rust-web-src, without rustup's server. The argument is the toolchain's name. It is a folder in the cache:
#
#   bin/                             Debian's cargo, and its rustc with this folder as sysroot
#   lib/rustlib/HOST/lib             Debian's standard library for the host, for build scripts and macros
#   lib/rustlib/HOST/bin/rust-lld    rustup's linker: Debian's rustc has none for WebAssembly
#   lib/rustlib/wasm32-.../lib       the standard library for WebAssembly, compiled here
set -eu

name=$1
target=wasm32-unknown-unknown
root=${XDG_CACHE_HOME:-$HOME/.cache}/$name
host=$(/usr/bin/rustc -vV | sed -n 's/^host: //p')
linker=$(rustc --print sysroot)/lib/rustlib/$host/bin/rust-lld
if [ ! -x "$linker" ]; then
    echo "error: $linker is missing. Is the active toolchain one of rustup's?" >&2
    exit 1
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/src"
: >"$work/src/lib.rs"
printf '[package]\nname = "empty"\nedition = "2021"\n[workspace]\n' >"$work/Cargo.toml"
# RUSTC_BOOTSTRAP allows the unstable option -Zbuild-std. Bitcode is for workflows that use link-time optimisation.
(cd "$work" && RUSTC=/usr/bin/rustc RUSTC_WRAPPER='' RUSTC_BOOTSTRAP=1 RUSTFLAGS=-Cembed-bitcode=yes \
    /usr/bin/cargo build --release --target $target -Zbuild-std=std,panic_abort --target-dir "$work/target")

rm -rf "$root"
mkdir -p "$root/bin" "$root/lib/rustlib/$host/bin" "$root/lib/rustlib/$target/lib"
ln -s "/usr/lib/rustlib/$host/lib" "$root/lib/rustlib/$host/lib"
ln -s "$linker" "$root/lib/rustlib/$host/bin/rust-lld"
ln -s /usr/bin/cargo "$root/bin/cargo"
cat >"$root/bin/rustc" <<'END'
#!/bin/sh
exec /usr/bin/rustc --sysroot "${0%/*}/.." "$@"
END
chmod +x "$root/bin/rustc"
rm "$work/target/$target"/release/deps/libempty-*
cp "$work/target/$target"/release/deps/lib*.rlib "$root/lib/rustlib/$target/lib"
rustup toolchain link "$name" "$root"
