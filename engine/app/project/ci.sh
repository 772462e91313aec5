#!/bin/sh
# What must be right before a change to the rules goes live. For any CI; run it here as well.
set -eu
cd "$(dirname "$0")"
switchhook check
switchhook test --coverage
