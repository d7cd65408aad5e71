#!/usr/bin/env bash
# Builds the environment .venv; called by make (docs/install.md).
#
#   scripts/environment.sh            what the workflow needs
#   scripts/environment.sh dev        in addition, what the tests, checks and pages need
#   scripts/environment.sh slurm      in addition, Snakemake's executor for SLURM
#
# PYTHON       interpreter to use; otherwise the first that fits, or one that uv downloads
# TORCH_INDEX  where PyTorch for the CPU is looked for on Linux without an NVIDIA driver; empty: the
#              default index, which on Linux has the build for CUDA (3.6 GB more)
set -euo pipefail
cd "$(dirname "$0")/.."
VENV=.venv
VERSIONS='>=3.11,<3.14'
TORCH_INDEX=${TORCH_INDEX-https://download.pytorch.org/whl/cpu}

# An environment that is built anew must not be created by the Python that it replaces.
PATH=:$PATH:
PATH=${PATH//":$PWD/$VENV/bin:"/:}
PATH=${PATH#:}
PATH=${PATH%:}

say() { echo "meiflow: $*" >&2; }

usable() {
  "$1" -c 'import sys, venv, ensurepip
sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' > /dev/null 2>&1
}

any_python() { # one that fits, else nothing
  local name path
  for name in python3.11 python3.12 python3.13 python3 python; do
    while read -r path; do
      if usable "$path"; then
        echo "$path"
        return
      fi
    done < <(type -aP "$name")
  done
}

no_python() {
  say "no Python 3.11, 3.12 or 3.13 that can create environments was found${1:+ ($1)}. Either install" \
    "one (Debian and Ubuntu: apt install python3 python3-venv; macOS: brew install python@3.13)," \
    "or install uv (https://docs.astral.sh/uv/), which downloads one," \
    "or name one: make PYTHON=/path/to/python3.12"
  exit 1
}

# uv of any Python, however old, for a machine on which none fits.
borrowed_uv() {
  local path
  for path in $(type -aP python3 python); do
    if "$path" -m venv "$VENV.uv" > /dev/null 2>&1 \
      && "$VENV.uv/bin/python" -m pip install --quiet uv > /dev/null 2>&1; then
      UV=$PWD/$VENV.uv/bin/uv
      return
    fi
  done
}

pip_setting() {
  "$VENV/bin/python" -m pip config list 2> /dev/null | sed -n "s/^global\\.$1='\\(.*\\)'\$/\\1/p" || true
}

# uv does not read the settings of pip.
settings() {
  local cert index links
  cert=${PIP_CERT:-$(pip_setting cert)}
  index=${PIP_INDEX_URL:-$(pip_setting index-url)}
  links=${PIP_FIND_LINKS:-$(pip_setting find-links)}
  export PIP_DISABLE_PIP_VERSION_CHECK=1
  export UV_DEFAULT_INDEX=${UV_DEFAULT_INDEX:-${index:-https://pypi.org/simple}}
  if [ -n "$cert" ]; then
    export SSL_CERT_FILE=${SSL_CERT_FILE:-$cert}
  fi
  if [ -n "${UV_FIND_LINKS:-$links}" ]; then
    export UV_FIND_LINKS=${UV_FIND_LINKS:-$links} PIP_FIND_LINKS=${PIP_FIND_LINKS:-$links}
  fi
}

attempt() {
  if [ -n "$UV" ]; then
    "$UV" pip install --quiet --python "$VENV/bin/python" "$@"
  else
    "$VENV/bin/python" -m pip install --quiet "$@"
  fi
}

install() {
  attempt "$@" && return
  [ -n "$UV" ] || return 1
  say "uv failed; trying pip, which has its own settings"
  "$VENV/bin/python" -m pip install --quiet "$@"
}

# The build for the CPU, from a local folder or PyTorch's own index. The requirement of the lock is
# then already met.
torch_for_cpu() {
  if [ -z "$TORCH_INDEX" ] || [ "$(uname -s)" != Linux ] || nvidia-smi -L > /dev/null 2>&1; then
    return
  fi
  local pin
  pin=$(grep '^torch==' requirements.lock)
  if [ -n "${UV_FIND_LINKS:-}" ] && attempt --no-deps --no-index "$pin" 2> /dev/null; then
    return
  fi
  attempt --no-deps --index-url "$TORCH_INDEX" "$pin" 2> /dev/null \
    || say "$pin for the CPU is not to be had from $TORCH_INDEX; the default index is used," \
      "whose build for CUDA is 3.6 GB larger and runs without a GPU too"
}

build() {
  if [ -n "$UV" ]; then
    "$UV" venv --quiet --seed --python "${python:-$VERSIONS}" "$VENV" || return 1
  else
    "$python" -m venv "$VENV" || return 1
    if "$VENV/bin/python" -m pip install --quiet uv; then
      UV=$PWD/$VENV/bin/uv
    else
      say "uv is not to be had; pip is used, which takes longer"
    fi
  fi
  settings
  torch_for_cpu
  install -r requirements.lock || return 1
  install --no-deps -r requirements-nodeps.txt -e . || return 1
  "$VENV/bin/python" -c 'import rastermap' || return 1 # compiled here once (20 s), not in a job
}

restore() { # what was there, if the new environment is not complete
  rm -rf "$VENV.uv"
  if [ -d "$VENV.old" ]; then
    rm -rf "$VENV"
    mv "$VENV.old" "$VENV"
    say "the environment was not built; the previous $VENV is kept"
  fi
}

UV=$(command -v uv || true)
case "${1:-}" in
  dev | slurm)
    [ -n "$UV" ] || [ ! -x "$VENV/bin/uv" ] || UV=$PWD/$VENV/bin/uv
    settings
    if [ "$1" = dev ]; then
      install -r requirements-dev.lock
    else
      install --no-deps -r requirements-slurm.txt
    fi
    exit
    ;;
esac

python=${PYTHON:-$(any_python)}
if [ -n "${PYTHON:-}" ] && ! usable "$PYTHON"; then
  no_python "PYTHON=$PYTHON is none"
fi
trap restore EXIT
if [ -z "$python" ]; then
  [ -n "$UV" ] || borrowed_uv
  [ -n "$UV" ] || no_python
  say "no Python $VERSIONS was found; asking uv for one"
  # downloaded before anything is removed
  "$UV" python install --quiet 3.13 || no_python "uv could not download one"
fi
if [ -d "$VENV" ]; then
  rm -rf "$VENV.old"
  mv "$VENV" "$VENV.old"
fi
build
rm -rf "$VENV.old"
