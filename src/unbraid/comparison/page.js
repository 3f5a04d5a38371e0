// One clock for all stems: what sounds together is in step to the sample, and changing from one model to
// another leaves neither a gap nor a click. Without this script each stem has the browser's own player.
"use strict";
{
  const FADE = 0.012; // seconds
  const byId = (id) => document.getElementById(id);
  const play = byId("play"), seek = byId("seek"), clock = byId("clock"), heard = byId("heard"), several = byId("several");
  const length = Number(seek.max);
  let context = null, volume = null, playing = false, origin = 0; // origin: the context's time at the song's start
  let resting = 0; // where the song stands while nothing plays
  const voices = [...document.querySelectorAll("audio")].map(voiceOf);
  const chosen = new Set();

  function voiceOf(audio) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = "listen";
    button.setAttribute("aria-pressed", "false");
    button.setAttribute("aria-label", `listen to ${audio.getAttribute("aria-label")}`);
    audio.hidden = true;
    audio.before(button);
    const voice = { audio, button, name: audio.getAttribute("aria-label"), buffer: null, node: null, gain: null };
    button.addEventListener("click", () => choose(voice));
    return voice;
  }

  function wake() {
    if (!context) {
      context = new AudioContext();
      volume = context.createGain();
      volume.gain.value = Number(byId("volume").value);
      volume.connect(context.destination);
    }
    return context.resume();
  }

  function decoded(voice) { // a promise, made once
    if (!voice.buffer) {
      const text = atob(voice.audio.src.slice(voice.audio.src.indexOf(",") + 1));
      voice.buffer = context.decodeAudioData(Uint8Array.from(text, (letter) => letter.charCodeAt(0)).buffer);
    }
    return voice.buffer;
  }

  const position = () => (playing ? Math.min(length, Math.max(0, context.currentTime - origin)) : resting);

  async function choose(voice) {
    wake();
    if (chosen.has(voice)) {
      if (several.checked) chosen.delete(voice);
      return sync(); // the only one: clicking it again changes nothing
    }
    voice.button.setAttribute("aria-busy", "true");
    try {
      await decoded(voice); // the old one sounds until the new one is ready
    } catch {
      heard.textContent = `This browser cannot decode ${voice.name}; make the report with --audio mp3.`;
      return undefined;
    } finally {
      voice.button.removeAttribute("aria-busy");
    }
    if (!several.checked) chosen.clear();
    chosen.add(voice);
    return sync();
  }

  async function sync() { // makes what sounds equal to what is chosen
    for (const voice of voices) {
      voice.button.setAttribute("aria-pressed", String(chosen.has(voice)));
      if (playing && chosen.has(voice) && !voice.node) start(voice, await decoded(voice));
    }
    for (const voice of voices) if (voice.node && !(playing && chosen.has(voice))) stop(voice);
    const names = [...chosen].map((voice) => voice.name).join(" + ");
    heard.textContent = names ? `You hear: ${names}` : "Choose what to listen to.";
    play.textContent = playing ? "Pause" : "Play";
  }

  function start(voice, buffer) {
    if (voice.node || !playing || !chosen.has(voice)) return; // things changed while it was decoded
    const at = context.currentTime + 0.005;
    voice.node = new AudioBufferSourceNode(context, { buffer });
    voice.gain = context.createGain();
    voice.gain.gain.setValueAtTime(0, at);
    voice.gain.gain.linearRampToValueAtTime(1, at + FADE);
    voice.node.connect(voice.gain).connect(volume);
    voice.node.start(at, Math.max(0, at - origin));
  }

  function stop(voice) {
    const now = context.currentTime;
    voice.gain.gain.cancelScheduledValues(now);
    voice.gain.gain.setValueAtTime(voice.gain.gain.value, now);
    voice.gain.gain.linearRampToValueAtTime(0, now + FADE);
    voice.node.stop(now + FADE);
    voice.node = null;
  }

  async function go(from) { // play from here
    await wake();
    if (!chosen.size) await choose(voices[0]);
    voices.forEach((voice) => voice.node && stop(voice));
    origin = context.currentTime - (from >= length ? 0 : from);
    playing = true;
    sync();
    requestAnimationFrame(show);
  }

  function pause() {
    resting = position();
    playing = false;
    sync();
  }

  function beyond(cell, down, right) { // the next button in a direction; cells without a player are passed over
    const rows = [...cell.closest("tbody").rows];
    let row = rows.indexOf(cell.parentElement), column = cell.cellIndex;
    while (rows[row]) {
      row += down;
      column += right;
      const cells = rows[row]?.cells;
      if (!cells || column < 1 || (right && column >= cells.length)) return null;
      const button = cells[Math.min(column, cells.length - 1)].querySelector("button");
      if (button) return button;
    }
    return null;
  }

  const told = (seconds) => `${Math.floor(seconds / 60)}:${String(Math.floor(seconds % 60)).padStart(2, "0")}`;

  function show() {
    const now = position();
    if (playing && now >= length) {
      pause();
      resting = 0;
    }
    seek.value = String(position());
    clock.textContent = `${told(position())} / ${told(length)}`;
    seek.setAttribute("aria-valuetext", clock.textContent);
    if (playing) requestAnimationFrame(show);
  }

  play.addEventListener("click", () => (playing ? pause() : go(resting)));
  seek.addEventListener("input", () => {
    resting = Number(seek.value);
    if (playing) go(resting);
    show();
  });
  byId("volume").addEventListener("input", (event) => {
    if (volume) volume.gain.value = Number(event.target.value);
  });
  several.addEventListener("change", () => {
    if (several.checked || chosen.size < 2) return;
    const last = [...chosen].pop();
    chosen.clear();
    chosen.add(last);
    sync();
  });
  document.addEventListener("keydown", (event) => {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    if (event.key === "p") play.click();
    const cell = event.target.closest?.(".players td");
    const step = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key];
    if (!cell || !step) return;
    const next = beyond(cell, ...step);
    if (next) {
      event.preventDefault();
      next.focus();
    }
  });
  for (const hidden of document.querySelectorAll(".transport, .with-script")) hidden.hidden = false;
  show();
}
