# SPDX-License-Identifier: MIT
# tap.sh: what the scripts here have in common: each check is a line of TAP, a failed one says why.
N=0 BAD=0
ok() { N=$((N + 1)); echo "ok $N - $1"; }
not_ok() { # WHAT [why...]
  N=$((N + 1)) BAD=$((BAD + 1))
  echo "not ok $N - $1"
  shift
  printf '%s\n' "$@" | sed 's/^/# /'
}
# check WHAT COMMAND...: does it exit 0?
check() {
  local what=$1 out
  shift
  if out=$("$@" 2>&1); then ok "$what"; else not_ok "$what" "$* said:" "$out"; fi
}
# refuses WHAT COMMAND...: does it exit with anything but 0?
refuses() {
  local what=$1 out
  shift
  if out=$("$@" 2>&1); then not_ok "$what" "$* went well and said:" "$out"; else ok "$what"; fi
}
# same WHAT EXPECTED GOT
same() { if [ "$2" = "$3" ]; then ok "$1"; else not_ok "$1" "expected: $2" "got: $3"; fi; }
# says WHAT PATTERN COMMAND...: does its output have a line like PATTERN (extended)?
says() {
  local what=$1 pattern=$2 out
  shift 2
  out=$("$@" 2>&1) || true
  if grep -qE -- "$pattern" <<<"$out"; then ok "$what"; else not_ok "$what" "no $pattern in:" "$out"; fi
}
# within SECONDS COMMAND...: does it exit 0 before long?
within() {
  local until=$((SECONDS + $1))
  shift
  until "$@" >/dev/null 2>&1; do
    [ "$SECONDS" -lt "$until" ] || return 1
    sleep 0.1
  done
}
finish() { echo "1..$N"; [ "$BAD" -eq 0 ]; }
