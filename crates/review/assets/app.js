// The few things a page cannot do without a script: passkeys, checking digests, live updates, shortcuts.
// Nothing here decides; a page without it is read and answered all the same, and signs in a terminal.
"use strict";
(() => {
  const enc = new TextEncoder();
  const b64 = (bytes) => btoa(String.fromCharCode(...new Uint8Array(bytes))).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
  const unb64 = (text) => Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (c) => c.charCodeAt(0));
  const sha256 = async (bytes) => new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  const hex = (bytes) => [...bytes].map((b) => b.toString(16).padStart(2, "0")).join("");
  const $ = (selector, from = document) => from.querySelector(selector);
  const $$ = (selector, from = document) => [...from.querySelectorAll(selector)];

  // The same three words as the guard shows: 24 bits of the digest.
  const words = (digest) => [0, 1, 2].map((i) => {
    const b = digest[i];
    return "bdfghjklmnprstvz"[b >> 4] + "aiou"[(b >> 2) & 3] + ["bar", "lin", "mos", "tek"][b & 3];
  }).join("-");

  const say = (form, text, bad) => {
    const line = $("[data-check]", form);
    if (!line) return;
    line.hidden = false;
    line.textContent = text;
    line.classList.toggle("bad", Boolean(bad));
  };

  // The bytes of a line back from how it is written for reading: `⟨U+200B⟩` for what would not be seen, an arrow for a tab.
  const read = (line) => [...line.childNodes].map((node) => {
    if (node.className === "tab") return "\t";
    const point = node.className === "hid" && /^⟨U\+([0-9A-F]{4,6})⟩$/.exec(node.textContent);
    return point ? String.fromCodePoint(parseInt(point[1], 16)) : node.textContent;
  }).join("");

  // What the page displays must be what the statement names, computed here and now.
  const agrees = async (form, statement) => {
    const text = new TextDecoder().decode(statement);
    const together = $$("[data-together]");
    if (together.length > 0) {
      // Each proposal of the page: the bytes shown are those of its statement, and the list that is signed names that statement.
      const items = $$("input[name=item]", form).map((input) => input.value);
      for (const [i, box] of together.entries()) {
        const own = unb64($("[data-statement]", box).dataset.statement);
        const shown = hex(await sha256(enc.encode($$("[data-code] .ln code", box).map(read).join("\n"))));
        const named = /^artifact: sha256:([0-9a-f]{64})$/m.exec(new TextDecoder().decode(own));
        const listed = text.split("\n")[4 + i] || "";
        if (named === null || named[1] !== shown || items[i] !== $("[data-statement]", box).dataset.statement) return false;
        if (!listed.startsWith("approve: ") || !listed.endsWith(" sha256:" + hex(await sha256(own)))) return false;
      }
      return text.split("\n").length === 4 + together.length + 1 && items.length === together.length;
    }
    if (form.dataset.bytes === undefined) return true;
    const box = $("[data-artifact]");
    const artifact = unb64(box.dataset.artifact);
    const digest = hex(await sha256(artifact));
    const named = /^artifact: sha256:([0-9a-f]{64})$/m.exec(text);
    const shown = hex(await sha256(enc.encode($$("[data-code] .ln code", box).map(read).join("\n"))));
    return named !== null && named[1] === digest && shown === digest && $(".digest .data", box).textContent === "sha256:" + digest;
  };

  const arm = async (form) => {
    const button = $("button[type=submit]", form);
    const statement = unb64(form.elements.statement.value);
    if (!window.PublicKeyCredential) return say(form, "This browser has no passkeys. Use the terminal.", true);
    if (!(await agrees(form, statement))) return say(form, "Your browser computed another digest than the statement names. Do not sign.", true);
    const shown = form.dataset.bytes === undefined ? "" : "Your browser computed the same digest as the statement names.";
    if (shown) say(form, shown);
    const pause = form.dataset.high === undefined ? 0 : 5000;
    const ready = Date.now() + pause;
    const ok = async () => {
      const name = $("[data-arm-input]", form);
      const spoken = $("[data-words-input]", form);
      if (name && name.value.trim() !== form.dataset.arm) return false;
      if (spoken) {
        const artifact = unb64($("[data-artifact]").dataset.artifact);
        if (spoken.value.trim().toLowerCase() !== words(await sha256(artifact))) return false;
      }
      if ($$("[data-tick]").some((tick) => !tick.checked)) return false;
      return Date.now() >= ready;
    };
    const look = async () => { button.disabled = !(await ok()); };
    form.addEventListener("input", look);
    for (const tick of $$("[data-tick]")) tick.addEventListener("change", look);
    setTimeout(look, pause + 50);
    await look();
  };

  const credentials = (form) => (form.dataset.credentials || "").split(" ").filter(Boolean).map((id) => ({ type: "public-key", id: unb64(id) }));

  const signed = async (form) => {
    const statement = unb64(form.elements.statement.value);
    if (!(await agrees(form, statement))) throw new Error("the digests differ");
    const assertion = await navigator.credentials.get({
      publicKey: {
        challenge: await sha256(statement),
        rpId: form.dataset.rp,
        allowCredentials: credentials(form),
        userVerification: "required",
        timeout: 120000,
      },
    });
    form.elements.credential.value = b64(assertion.rawId);
    form.elements.authenticator_data.value = b64(assertion.response.authenticatorData);
    form.elements.client_data.value = b64(assertion.response.clientDataJSON);
    form.elements.signature.value = b64(assertion.response.signature);
  };

  const enrolled = async (form) => {
    const name = form.elements.person.value.trim();
    const made = await navigator.credentials.create({
      publicKey: {
        challenge: unb64(form.dataset.challenge),
        rp: { id: form.dataset.rp, name: "Wetink" },
        user: { id: crypto.getRandomValues(new Uint8Array(16)), name, displayName: name },
        pubKeyCredParams: [{ type: "public-key", alg: -8 }, { type: "public-key", alg: -7 }],
        authenticatorSelection: { userVerification: "required", residentKey: "preferred" },
        attestation: "none",
        timeout: 120000,
      },
    });
    form.elements.attestation_object.value = b64(made.response.attestationObject);
    form.elements.client_data.value = b64(made.response.clientDataJSON);
  };

  const ceremony = (form, work) => form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const button = $("button[type=submit]", form);
    button.disabled = true;
    say(form, "Touch your key …");
    try {
      await work(form);
      const outbox = $("#outbox");
      if (outbox) outbox.hidden = false;
      form.submit();
    } catch (error) {
      say(form, "Nothing was signed: " + (error && error.name === "NotAllowedError" ? "the key was not used in time." : String(error && error.message || error)), true);
      button.disabled = false;
    }
  });

  for (const form of $$("form[data-sign]")) {
    ceremony(form, signed);
    arm(form);
  }
  for (const form of $$("form[data-enroll]")) {
    ceremony(form, enrolled);
    if (window.PublicKeyCredential) $("button[type=submit]", form).disabled = false;
    else say(form, "This browser has no passkeys. Use the terminal.", true);
  }
  // The one-time token stands behind the # so that no server and no log sees the link; it moves into the form.
  const token = /^#token=(.+)$/.exec(location.hash);
  const tokenForm = $("form[data-enroll-token]");
  if (token && tokenForm) {
    tokenForm.elements.token.value = decodeURIComponent(token[1]);
    history.replaceState(null, "", location.pathname);
  }

  // Live: a page that shows what changed is loaded anew, unless somebody is typing in it.
  const feed = document.body.dataset.live;
  if (feed && window.EventSource) {
    const here = $("[data-proposal]");
    const list = $("[data-list], [data-live-note]");
    const source = new EventSource(feed);
    // A page that is on its way elsewhere, with a signature say, is not loaded anew meanwhile.
    window.addEventListener("beforeunload", () => source.close());
    const changed = () => {
      const typing = document.activeElement && /INPUT|TEXTAREA|SELECT/.test(document.activeElement.tagName);
      if (!typing) return location.reload();
      document.title = "• " + document.title.replace(/^• /, "");
      const note = $("[data-live-note]");
      if (note) note.hidden = false;
    };
    source.addEventListener("change", (event) => {
      const id = event.data.split(" ")[0];
      if ((here && (id === here.dataset.proposal || id === "some")) || (!here && list)) changed();
    });
    // What happened before the feed was there, or while it was away, is looked up as soon as it is.
    const states = (from) => $$("[data-state]", from).map((one) => one.dataset.state).join("\n");
    source.addEventListener("open", async () => {
      if (!here && !list) return;
      const answer = await fetch(location.href).catch(() => null);
      if (!answer || !answer.ok || answer.redirected) return;
      const now = new DOMParser().parseFromString(await answer.text(), "text/html");
      if (states(now) !== states(document)) changed();
    });
    addEventListener("pagehide", () => source.close());
  }

  // The filter of a list works on what the page shows.
  const filter = $("#filter");
  if (filter) {
    filter.closest("label").hidden = false;
    filter.addEventListener("input", () => {
      const text = filter.value.toLowerCase();
      for (const item of $$("[data-item]")) item.hidden = !item.textContent.toLowerCase().includes(text);
    });
  }

  // Single keys, only outside of fields, and they can be switched off. `a` goes to the signature; it never signs.
  const help = $("#help");
  if (help) {
    const on = $("#keys-on");
    on.checked = localStorage.getItem("keys") !== "off";
    on.addEventListener("change", () => localStorage.setItem("keys", on.checked ? "on" : "off"));
    const open = $("#keys");
    open.hidden = false;
    open.addEventListener("click", () => help.showModal());
    const items = $$("[data-item] a");
    let at = -1;
    const move = (step) => {
      if (!items.length) return;
      at = Math.min(Math.max(at + step, 0), items.length - 1);
      items[at].focus();
    };
    const go = (...selectors) => {
      const to = selectors.map((selector) => $(selector)).find((one) => one && !one.disabled);
      if (!to) return;
      const fold = to.closest("details");
      if (fold) fold.open = true;
      to.scrollIntoView({ block: "center" });
      to.focus();
    };
    addEventListener("keydown", (event) => {
      if (!on.checked || event.ctrlKey || event.metaKey || event.altKey || /INPUT|TEXTAREA|SELECT/.test(event.target.tagName) || help.open) return;
      const keys = {
        j: () => move(1), k: () => move(-1), o: () => at >= 0 && items[at].click(),
        a: () => go("[data-arm-input]", "form[data-sign] button"), c: () => go("form[action$='/changes'] input"), x: () => go("form[action$='/reject'] input"),
        "/": () => go("#filter", "form[method=get] input"), "?": () => help.showModal(),
      };
      if (keys[event.key]) { event.preventDefault(); keys[event.key](); }
    });
  }
})();
