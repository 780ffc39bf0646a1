// Script of the page: it runs jobs, and shows their results.
"use strict";

(() => {
  const { whole } = base;

  // How often the page refreshes itself, and how long it waits for a response, in milliseconds.
  const EVERY = 5000;
  const PATIENCE = 30000;

  const lost = document.getElementById("lost");
  const said = document.getElementById("said");
  const starting = new Set();
  let opener = null;

  function tell(element, text) {
    // A text that is set twice would be read out twice.
    if (element.textContent !== text) {
      element.textContent = text;
    }
  }

  function pause(length) {
    return new Promise((resolve) => setTimeout(resolve, length));
  }

  // Waits until the page is visible.
  function looked() {
    return new Promise((resolve) => {
      if (!document.hidden) {
        resolve();
        return;
      }
      const look = () => {
        if (!document.hidden) {
          document.removeEventListener("visibilitychange", look);
          resolve();
        }
      };
      document.addEventListener("visibilitychange", look);
    });
  }

  // Buttons are for those with a script, so they come hidden.
  function dress(root) {
    for (const button of root.querySelectorAll("[data-start]")) {
      button.hidden = false;
      if (starting.has(button.dataset.start)) {
        button.setAttribute("aria-disabled", "true");
      }
    }
  }

  // Returns true if `old` can become `fresh` and remain the same item for the user.
  function isSame(old, fresh) {
    if (old.nodeName !== fresh.nodeName) {
      return false;
    }
    if (old.nodeType !== Node.ELEMENT_NODE) {
      return true;
    }
    const key = fresh.dataset?.key;
    return old.dataset?.key === key
      && (key !== undefined || old.getAttribute("class") === fresh.getAttribute("class"));
  }

  // Turns `old` into `fresh` by the fewest changes: parts that stay keep their focus, selection and scrolling,
  // and details stay open.
  function become(old, fresh) {
    if (old.nodeType !== Node.ELEMENT_NODE) {
      if (old.data !== fresh.data) {
        old.data = fresh.data;
      }
      return;
    }
    for (const { name, value } of fresh.attributes) {
      if (old.getAttribute(name) !== value) {
        old.setAttribute(name, value);
      }
    }
    for (const { name } of [...old.attributes]) {
      if (!fresh.hasAttribute(name) && name !== "open") {
        old.removeAttribute(name);
      }
    }
    let next = old.firstChild;
    for (const child of fresh.childNodes) {
      let same = next;
      while (same && !isSame(same, child)) {
        same = same.nextSibling;
      }
      if (!same) {
        old.insertBefore(document.importNode(child, true), next);
        continue;
      }
      while (next !== same) {
        const gone = next;
        next = next.nextSibling;
        gone.remove();
      }
      next = same.nextSibling;
      become(same, child);
    }
    while (next) {
      const gone = next;
      next = next.nextSibling;
      gone.remove();
    }
  }

  // The page as it is now, or why there is none. A document needs no HTML to be parsed from text, which
  // the content security policy forbids.
  function load() {
    return new Promise((resolve) => {
      const request = new XMLHttpRequest();
      request.open("GET", whole(location.pathname + location.search));
      request.responseType = "document";
      request.timeout = PATIENCE;
      const fail = (problem) => resolve({ problem });
      request.onerror = () => fail("The server cannot be reached.");
      request.ontimeout = () => fail("The server does not answer.");
      request.onload = () => {
        const page = request.response;
        if (request.status === 401) {
          fail("The server wants you to log in (401). Reload the page to do so.");
        } else if (request.status !== 200) {
          fail(`The server answers with an error (${request.status}).`);
        } else if (!page?.querySelector("main[data-runs]")) {
          fail("The server answers with another page.");
        } else {
          resolve({ page });
        }
      };
      request.send();
    });
  }

  let timer = 0;
  let isLoading = false;
  let isStale = false;

  async function refresh() {
    clearTimeout(timer);
    if (isLoading) {
      // The response that is under way may be too old.
      isStale = true;
      return;
    }
    isLoading = true;
    do {
      isStale = false;
      const { page, problem } = await load();
      if (problem) {
        tell(lost, `${problem} What you see may be out of date.`);
      } else {
        tell(lost, "");
        dress(page);
        for (const part of ["main", "footer"]) {
          become(document.querySelector(part), page.querySelector(part));
        }
        base.readTimes();
      }
    } while (isStale);
    isLoading = false;
    await looked();
    clearTimeout(timer);
    timer = setTimeout(refresh, EVERY);
  }

  const queries = { credentials: "same-origin", redirect: "error" };

  // Why the job was not started, or the id of its run.
  async function start(path) {
    let answer;
    try {
      answer = await fetch(whole(path), {
        ...queries,
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: "{}",
        signal: AbortSignal.timeout(PATIENCE),
      });
    } catch (error) {
      return {
        refusal: error.name === "TimeoutError"
          ? "the server did not answer within 30 seconds, so it may run or not."
          : "the server could not be reached.",
      };
    }
    if (answer.status === 401) {
      return { refusal: "the server wants you to log in (401). Reload the page to do so." };
    }
    const { run_id: id, error } = await answer.json().catch(() => ({}));
    if (answer.ok && id !== undefined) {
      return { id };
    }
    const reason = String(error ?? "").trim().slice(0, 300);
    return { refusal: reason || `the server refused (${answer.status}).` };
  }

  // Gets a run from the server: undefined if it does not respond properly now, null if there is no such run.
  async function ask(id) {
    const { runs } = document.querySelector("main").dataset;
    try {
      const answer = await fetch(whole(runs + encodeURIComponent(id)), {
        ...queries,
        signal: AbortSignal.timeout(PATIENCE),
      });
      if (answer.status === 404) {
        return null;
      }
      return answer.ok ? await answer.json() : undefined;
    } catch {
      return undefined;
    }
  }

  async function follow(name, id) {
    let status = "";
    for (let wait = 200; status !== "finished"; wait = Math.min(wait * 1.5, EVERY)) {
      await pause(wait);
      await looked();
      const run = await ask(id);
      if (run === null) {
        tell(said, `${name}: the server knows nothing of its run ${id} any more.`);
        return;
      }
      if (!run?.status || run.status === status) {
        continue;
      }
      status = run.status;
      tell(said, `${name}: ${status === "finished" ? run.outcome : status}`);
      refresh();
    }
  }

  async function run(button) {
    const path = button.dataset.start;
    if (starting.has(path)) {
      return;
    }
    opener = button;
    const name = button.closest(".job").querySelector("h3").textContent;
    // A button that is disabled would lose the focus.
    button.setAttribute("aria-disabled", "true");
    starting.add(path);
    tell(said, `${name}: starting`);
    const { id, refusal } = await start(path);
    starting.delete(path);
    button.removeAttribute("aria-disabled");
    if (refusal) {
      tell(said, `${name} was not started: ${refusal}`);
      refresh();
    } else {
      follow(name, id);
    }
  }

  document.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (button?.hasAttribute("data-start")) {
      run(button);
    } else if (button?.hasAttribute("data-close")) {
      tell(said, "");
      opener?.focus({ preventScroll: true });
    }
  });

  document.addEventListener("visibilitychange", () => {
    clearTimeout(timer);
    if (!document.hidden) {
      refresh();
    }
  });

  dress(document);
  timer = setTimeout(refresh, EVERY);
})();
