// Script of the gateway's page: completes push URLs, copies them, and deletes groups.
"use strict";

(() => {
  const { whole } = base;

  for (const element of document.querySelectorAll("[data-path]")) {
    element.textContent = whole(element.dataset.path);
  }

  for (const actions of document.querySelectorAll(".group .actions")) {
    actions.hidden = false;
  }

  const said = document.getElementById("said");

  // Browsers allow access to the clipboard only to pages from a secure origin.
  for (const button of document.querySelectorAll("[data-copy]")) {
    button.hidden = !navigator.clipboard;
  }

  async function copy(button) {
    const path = button.closest(".group").querySelector("[data-path]").dataset.path;
    const label = button.textContent;
    try {
      await navigator.clipboard.writeText(whole(path));
      button.textContent = "Copied";
    } catch {
      button.textContent = "Not copied: the browser refuses";
    }
    said.textContent = "";
    button.disabled = true;
    setTimeout(() => {
      button.textContent = label;
      button.disabled = false;
    }, 2000);
  }

  const dialog = document.getElementById("deletion");
  const [cancelButton, deleteButton] = dialog.querySelectorAll("button");
  const failure = dialog.querySelector(".failure");
  let opener = null;
  let busy = false;

  function ask(button) {
    opener = button;
    failure.textContent = "";
    const key = button.closest(".group").querySelector(".name").cloneNode(true);
    dialog.querySelector("code").replaceChildren(...key.childNodes);
    dialog.showModal();
    // An irreversible action must not be one blind key press away.
    cancelButton.focus();
  }

  function setBusy(is) {
    busy = is;
    cancelButton.disabled = is;
    deleteButton.disabled = is;
    deleteButton.textContent = is ? "Deleting…" : "Delete group";
  }

  const refusals = {
    401: "The gateway wants you to log in (401). Reload the page to do so.",
    403: "You are not allowed to delete groups here (403).",
    405: "This gateway does not allow deletion (405).",
  };

  // Deletes a group. Returns why it is still there, or nothing if it is gone.
  async function remove(path) {
    let answer;
    try {
      answer = await fetch(whole(path), {
        method: "DELETE",
        credentials: "same-origin",
        redirect: "error",
        signal: AbortSignal.timeout(30000),
      });
    } catch (error) {
      return error.name === "TimeoutError"
        ? "The gateway did not answer within 30 seconds: reload the page to see whether the group is gone."
        : "The gateway could not be reached.";
    }
    if (answer.ok) {
      return null;
    }
    const refusal = refusals[answer.status];
    if (refusal) {
      return refusal;
    }
    const reason = (await answer.text().catch(() => "")).trim().slice(0, 300);
    return `The gateway refused (${answer.status})${reason ? `: ${reason}` : "."}`;
  }

  // Takes a group of these kinds out of all numbers.
  function uncount(kinds) {
    for (const count of document.querySelectorAll("[data-count]")) {
      const { count: kind } = count.dataset;
      if (kind && !kinds.includes(kind)) {
        continue;
      }
      const left = Number(count.value) - 1;
      count.value = left;
      count.textContent = left;
      const part = count.closest(".part");
      if (part) {
        part.hidden = left === 0;
      }
    }
    for (const noun of document.querySelectorAll("[data-one]")) {
      const { one, many } = noun.dataset;
      noun.textContent = noun.previousElementSibling.value === "1" ? one : many;
    }
  }

  async function confirmed() {
    const group = opener.closest(".group");
    const key = dialog.querySelector("code").textContent;
    setBusy(true);
    failure.textContent = "";
    const reason = await remove(opener.dataset.delete);
    setBusy(false);
    if (reason !== null) {
      failure.textContent = reason;
      cancelButton.focus();
      return;
    }
    dialog.close();
    const next = group.nextElementSibling ?? group.previousElementSibling;
    group.remove();
    uncount(group.dataset.is.split(" "));
    said.textContent = `Deleted: ${key}`;
    if (next) {
      next.querySelector("summary").focus();
    } else {
      // The next page of the list has moved up, or the list is empty: the server knows which.
      location.reload();
    }
  }

  cancelButton.addEventListener("click", () => dialog.close());
  deleteButton.addEventListener("click", confirmed);
  dialog.addEventListener("cancel", (event) => {
    if (busy) {
      event.preventDefault();
    }
  });

  document.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (button?.hasAttribute("data-delete")) {
      ask(button);
    } else if (button?.hasAttribute("data-copy")) {
      copy(button);
    }
  });
})();
