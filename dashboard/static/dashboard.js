// What the pages cannot do by themselves: copy an id, and open what a link leads to.
document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-copy]");
  if (button) {
    navigator.clipboard.writeText(button.dataset.copy).then(() => {
      button.textContent = "copied";
      setTimeout(() => { button.textContent = "copy"; }, 1500);
    });
  }
});

function showCopyButtons() {
  // Browsers let a page write to the clipboard only where it is safe: on this machine, or over TLS.
  if (navigator.clipboard) {
    document.querySelectorAll("[data-copy]").forEach((button) => { button.hidden = false; });
  }
}

function openTarget() {
  const run = document.getElementById("run-with-trouble");
  if (run && location.hash === "#trouble") {
    run.open = true;
    document.getElementById("trouble").scrollIntoView();
  }
}

addEventListener("hashchange", openTarget);
document.addEventListener("DOMContentLoaded", () => { openTarget(); showCopyButtons(); });
document.addEventListener("htmx:after:swap", showCopyButtons);
