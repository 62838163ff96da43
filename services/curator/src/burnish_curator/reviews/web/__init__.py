"""The review in a browser: pages of HTML, their templates, and what a form sends. Called by people; decides nothing itself."""
