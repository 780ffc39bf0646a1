// Script of the gateway's page: completes push URLs, copies them, and deletes groups, one or all that were found.
"use strict";

(() => {
  const { whole } = base;

  for (const element of document.querySelectorAll("[data-path]")) {
    element.textContent = whole(element.dataset.path);
  }

  for (const actions of document.querySelectorAll(".actions")) {
    actions.hidden = false;
  }

  const said = document.getElementById("said");
  const unsaid = "said";

  // The message of a deletion after which the page was loaded again.
  said.textContent = sessionStorage.getItem(unsaid) ?? "";
  sessionStorage.removeItem(unsaid);

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

  // Sends a deletion. Returns the response, or why nothing was deleted.
  async function send(path) {
    let answer;
    try {
      answer = await fetch(whole(path), {
        method: "DELETE",
        credentials: "same-origin",
        redirect: "error",
        signal: AbortSignal.timeout(30000),
      });
    } catch (error) {
      return {
        reason:
          error.name === "TimeoutError"
            ? "The gateway did not answer within 30 seconds: reload the page to see what is gone."
            : "The gateway could not be reached.",
      };
    }
    if (answer.ok) {
      return { answer };
    }
    const refusal = refusals[answer.status];
    if (refusal) {
      return { reason: refusal };
    }
    const text = (await answer.text().catch(() => "")).trim().slice(0, 300);
    return { reason: `The gateway refused (${answer.status})${text ? `: ${text}` : "."}` };
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
    const { reason } = await send(opener.dataset.delete);
    setBusy(false);
    if (reason) {
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

  // The deletion of all groups that the search found: a preview, and what is confirmed.
  const found = document.querySelector("[data-delete-found]");
  const shown = 100;

  function count(number) {
    return `${number} ${number === 1 ? "group" : "groups"}`;
  }

  function setUpDeletions(dialog) {
    const [cancelButton, deleteButton] = dialog.querySelectorAll("button");
    const age = dialog.querySelector("select");
    const text = dialog.querySelector("#deletions-text");
    const keys = dialog.querySelector("ul");
    const failure = dialog.querySelector(".failure");
    let latest = 0;
    let busy = false;

    function path(parameters) {
      const older = age.value && `&older_than=${age.value}`;
      return found.dataset.deleteFound + older + parameters;
    }

    function fail(reason) {
      failure.textContent = reason;
      cancelButton.focus();
    }

    function line(labels) {
      const pairs = Object.entries(labels);
      const key = document.createElement("code");
      key.textContent = pairs.map(([name, value]) => `${name}=${JSON.stringify(value)}`).join(", ");
      const item = document.createElement("li");
      item.append(key);
      return item;
    }

    async function preview() {
      latest += 1;
      const own = latest;
      failure.textContent = "";
      deleteButton.disabled = true;
      text.textContent = "Looking…";
      const { answer, reason } = await send(path("&dry_run=true"));
      const body = await answer?.json().catch(() => null);
      if (own !== latest) {
        return;
      }
      text.textContent = "";
      keys.replaceChildren();
      keys.hidden = true;
      if (!body) {
        fail(reason ?? "The gateway's response could not be read.");
        return;
      }
      const { count: all, groups } = body.data;
      const some = groups.slice(0, shown);
      keys.replaceChildren(...some.map(({ labels }) => line(labels)));
      keys.hidden = all === 0;
      const more = all > some.length ? ` Only ${some.length} of them are listed.` : "";
      text.textContent =
        all === 0
          ? "None of them was last pushed so long ago."
          : `${count(all)} with all metrics pushed to ${all === 1 ? "it" : "them"}. This cannot be undone.${more}`;
      deleteButton.textContent = `Delete ${count(all)}`;
      deleteButton.disabled = all === 0;
    }

    async function confirmed() {
      busy = true;
      const controls = [cancelButton, deleteButton, age];
      controls.forEach((control) => (control.disabled = true));
      failure.textContent = "";
      const { answer, reason } = await send(path(""));
      const body = await answer?.json().catch(() => null);
      busy = false;
      controls.forEach((control) => (control.disabled = false));
      if (!body) {
        fail(reason ?? "The gateway's response could not be read: reload the page to see what is gone.");
        return;
      }
      sessionStorage.setItem(unsaid, `Deleted: ${count(body.data.count)}`);
      location.reload();
    }

    found.addEventListener("click", () => {
      age.value = "";
      dialog.showModal();
      cancelButton.focus();
      preview();
    });
    age.addEventListener("change", preview);
    cancelButton.addEventListener("click", () => dialog.close());
    deleteButton.addEventListener("click", confirmed);
    dialog.addEventListener("cancel", (event) => {
      if (busy) {
        event.preventDefault();
      }
    });
  }

  if (found) {
    setUpDeletions(document.getElementById("deletions"));
  }

  document.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (button?.hasAttribute("data-delete")) {
      ask(button);
    } else if (button?.hasAttribute("data-copy")) {
      copy(button);
    }
  });
})();
