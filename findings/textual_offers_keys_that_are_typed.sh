#!/usr/bin/env bash
# While one types into a Textual Input, the keys `/`, `+` and `-` of the view around it are told as
# being in force, so that a footer offers them; pressed, they are typed.
#
# Textual asks the focused widget whether it consumes a key, and leaves the bindings of keys that it
# consumes out of `active_bindings`, which is what a footer shows: a binding of `n` is gone while an
# Input has the focus. For that it turns the name of a key into its character. Keys that are known by
# a short name, `slash` for `solidus`, `plus` for `plus_sign`, `minus` for `hyphen_minus`, have no
# character by that way, so the Input is not asked about them. The key itself comes with its character
# and is typed. So the bindings that are told and those that act are two; `/` for search shows it.
#
# Seen with textual 8.2.8, Python 3.11.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check textual==8.2.8
cat > "$folder/offers.py" <<'PYTHON'
import asyncio

from textual.app import App
from textual.binding import Binding
from textual.widgets import Input

KEYS = {"n": "n", "slash": "/", "plus": "+", "minus": "-", "comma": ","}


class Offers(App):
    BINDINGS = [Binding(key, f"note('{key}')", key) for key in KEYS]
    noted: list[str] = []

    def compose(self):
        yield Input()

    def action_note(self, key):
        self.noted.append(key)


async def main():
    app = Offers()
    async with app.run_test() as pilot:
        app.query_one(Input).focus()
        await pilot.pause()
        offered = sorted(KEYS.keys() & app.screen.active_bindings.keys())
        await pilot.press(*KEYS.values())
        await pilot.pause()
        print(f"offered: {offered}; typed: {app.query_one(Input).value!r}; acted: {app.noted}")


asyncio.run(main())
PYTHON
said=$("$folder/venv/bin/python" "$folder/offers.py")
echo "$said"
[ "$said" = "offered: ['minus', 'plus', 'slash']; typed: 'n/+-,'; acted: []" ] || { echo "CHANGED"; exit 1; }
echo "as described: three keys are offered, all five are typed"
