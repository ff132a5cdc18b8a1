const canvas = element.querySelector("canvas"), pen = element.querySelector(".pen");
const context = canvas.getContext("2d");
let last = null, keys = {x: 140, y: 70, down: false};

function line(from, to) {
  context.lineWidth = 20;
  context.lineCap = context.lineJoin = "round";
  context.beginPath();
  context.moveTo(from.x, from.y);
  context.lineTo(to.x + 0.01, to.y);  // a point has no caps
  context.stroke();
}
function place(event) {
  const box = canvas.getBoundingClientRect();
  return {x: (event.clientX - box.left) * canvas.width / box.width,
          y: (event.clientY - box.top) * canvas.height / box.height};
}
function send() {
  props.value = canvas.toDataURL("image/png");
  trigger("change");
}
function show() {
  pen.style.left = 100 * keys.x / canvas.width + "%";
  pen.style.top = 100 * keys.y / canvas.height + "%";
  pen.style.background = keys.down ? "#2563eb" : "transparent";
}
canvas.addEventListener("pointerdown", event => {
  canvas.setPointerCapture(event.pointerId);
  last = place(event);
  line(last, last);
});
canvas.addEventListener("pointermove", event => {
  if (!last) return;
  const next = place(event);
  line(last, next);
  last = next;
});
for (const name of ["pointerup", "pointercancel"])
  canvas.addEventListener(name, () => { if (last) { last = null; send(); } });
canvas.addEventListener("keydown", event => {
  const step = {ArrowLeft: [-7, 0], ArrowRight: [7, 0], ArrowUp: [0, -7], ArrowDown: [0, 7]}[event.key];
  if (!step && event.key !== " ") return;
  event.preventDefault();
  if (step) {
    const next = {x: Math.min(270, Math.max(10, keys.x + step[0])), y: Math.min(270, Math.max(10, keys.y + step[1]))};
    if (keys.down) { line(keys, next); send(); }
    Object.assign(keys, next);
  } else {
    keys.down = !keys.down;
    if (keys.down) { line(keys, keys); send(); }
  }
  show();
});
element.querySelector(".clear").addEventListener("click", () => {
  context.clearRect(0, 0, canvas.width, canvas.height);
  keys.down = false;
  show();
  send();
});
show();
