# What varalign needs besides its own code, installed where it is missing.
# Sourced by tools/quickstart and tools/test:
#
#   install_dependencies     Debian packages, libtorch, a Rust tool chain
#   configure DIR [CMAKE ARGUMENT ...]     CMake for Ninja, Release
#   build_targets DIR [TARGET ...]
#   configure_and_build DIR [TARGET ...]
#
# Everything is pinned: Debian 12's packages by the release, libtorch and its
# two companions by version, Rust crates by src/text/rust/Cargo.lock.

readonly VARALIGN_CACHE="${VARALIGN_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/varalign}"
readonly TORCH_VERSION=2.11.0
readonly TORCH_SITE="$VARALIGN_CACHE/torch-$TORCH_VERSION"
export VARALIGN_TORCH_ROOT="${VARALIGN_TORCH_ROOT:-$TORCH_SITE/torch}"

readonly DEBIAN_PACKAGES=(
  build-essential cmake ninja-build ccache mold pkg-config git ca-certificates
  python3 python3-pip
  libgrpc++-dev libgrpc-dev protobuf-compiler protobuf-compiler-grpc
  libprotobuf-dev libprotoc-dev libabsl-dev
  prometheus-cpp-dev libcivetweb-dev prometheus
  libopenmpi-dev openmpi-bin
  libgtest-dev libgmock-dev googletest libbenchmark-dev
  libyaml-cpp-dev libcli11-dev libspdlog-dev libfmt-dev nlohmann-json3-dev
  libsqlite3-dev libre2-dev zlib1g-dev libzstd-dev libxxhash-dev libssl-dev
)

say() { printf '\033[1m==>\033[0m %s\n' "$*" >&2; }
die() { printf 'error: %s\n' "$*" >&2; exit 69; }

as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

install_debian_packages() {
  local missing=() package
  for package in "$@"; do
    dpkg-query -W -f='${Status}' "$package" 2>/dev/null |
      grep -q 'install ok installed' || missing+=("$package")
  done
  [ ${#missing[@]} = 0 ] && return
  command -v apt-get >/dev/null ||
    die "these packages are missing and there is no apt-get: ${missing[*]}"
  [ "$(id -u)" = 0 ] || command -v sudo >/dev/null ||
    die "these packages are missing; install them as root: ${missing[*]}"
  say "installing ${#missing[@]} Debian packages"
  as_root apt-get update -q >/dev/null
  as_root env DEBIAN_FRONTEND=noninteractive \
    apt-get install -q -y --no-install-recommends "${missing[@]}" >/dev/null ||
    die "apt-get could not install: ${missing[*]}"
}

# libtorch's headers and libraries come from the wheel and stay in a directory
# of our own; Python is not used at run time.
install_torch() {
  [ -e "$VARALIGN_TORCH_ROOT/lib/libtorch_cpu.so" ] && return
  say "installing libtorch $TORCH_VERSION (about 1.3 GiB) to $TORCH_SITE"
  mkdir -p "$VARALIGN_CACHE"
  local partial="$TORCH_SITE.partial"
  rm -rf "$partial"
  python3 -m pip install --quiet --no-deps --disable-pip-version-check \
    --root-user-action ignore --target "$partial" \
    "torch==$TORCH_VERSION" nvidia-cuda-runtime==13.0.96 \
    nvidia-cuda-cupti==13.0.85 ||
    die "pip could not install torch==$TORCH_VERSION"
  rm -rf "$TORCH_SITE"
  mv "$partial" "$TORCH_SITE"
}

# A cargo of 1.85 or newer; Debian's plain rustc is too old, its -web packages
# are new enough.
install_rust() {
  local version
  version=$(cargo --version 2>/dev/null | awk '{print $2}')
  if [ -n "$version" ] &&
    [ "$(printf '%s\n1.85\n' "$version" | sort -V | head -n 1)" = 1.85 ]; then
    return
  fi
  install_debian_packages rustc-web cargo-web
}

install_dependencies() {
  mkdir -p "$VARALIGN_CACHE"
  exec 9>"$VARALIGN_CACHE/install.lock"
  flock 9
  install_debian_packages "${DEBIAN_PACKAGES[@]}"
  install_torch
  install_rust
  exec 9>&-
}

# configure DIR [CMAKE ARGUMENT ...], once. Compiled objects and crates serve
# every clone of this machine.
configure() {
  local build=$1
  shift
  export CCACHE_BASEDIR="$PWD" CCACHE_NOHASHDIR=true
  [ -e "$build/build.ninja" ] && return
  say "configuring $build"
  cmake -S . -B "$build" -G Ninja \
    -DVARALIGN_CARGO_TARGET_DIR="$VARALIGN_CACHE/cargo" "$@" \
    >"$build.configure.log" 2>&1 ||
    { cat "$build.configure.log" >&2; die "cmake failed"; }
  rm -f "$build.configure.log"
}

# build_targets DIR [TARGET ...]: all of them where none is named.
build_targets() {
  local build=$1
  shift
  say "building $build"
  cmake --build "$build" ${1:+--target "$@"}
}

configure_and_build() {
  configure "$1"
  build_targets "$@"
}
