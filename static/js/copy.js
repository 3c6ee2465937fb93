// Copies what is shown once. Without scripts, or where a browser gives pages no clipboard, one click on the value selects all of it.
"use strict";

const button = document.getElementById("copy");
const said = document.getElementById("copied");

async function copy() {
  try {
    await navigator.clipboard.writeText(document.getElementById("once").textContent);
    said.textContent = "Copied.";
  } catch {
    said.textContent = "Your browser did not let it be copied. Click the value, and copy it yourself.";
  }
}

if (navigator.clipboard) {
  button.hidden = false;
  button.addEventListener("click", copy);
}
