#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# timeout: 400
exec python3 "$(dirname "$0")/cu.py" --block-size 512
