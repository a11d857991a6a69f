#!/usr/bin/env bash
# Runs every finding of this folder, one after the other; exits non-zero if one of them has expired or could not run.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
failed=0
for script in *.sh; do
    [ "$script" = run-all.sh ] && continue
    echo "== $script"
    if bash "$script"; then echo "pass  $script"; else echo "FAIL  $script"; failed=$((failed + 1)); fi
done
echo "== $failed failed"
[ "$failed" -eq 0 ]
