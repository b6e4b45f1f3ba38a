// @ts-check
/** From the ground's coordinates (y upwards) to the picture's pixels, and back. */

const LEAST_ZOOM = 0.6;
const MOST_ZOOM = 40;

export class Camera {
  constructor() {
    this.width = 1;
    this.height = 1;
    /** radians counter-clockwise */
    this.rotation = 0;
    /** centre of the picture, on the ground */
    this.x = 0;
    this.y = 0;
    this.zoom = 1;
    /** pixels per unit of ground at zoom 1 */
    this.fitScale = 1;
    this.homeX = 0;
    this.homeY = 0;
    /** grows with every change, so that the ground is only drawn anew when it must be */
    this.version = 0;
    // The matrix: px = a*x + c*y + e, py = b*x + d*y + f.
    this.a = 1;
    this.b = 0;
    this.c = 0;
    this.d = -1;
    this.e = 0;
    this.f = 0;
    this.left = 0;
    this.right = 0;
    this.top = 0;
    this.bottom = 0;
  }

  get scale() {
    return this.fitScale * this.zoom;
  }

  /**
   * What to show when everything is to be seen.
   * @param {Float64Array | number[]} points x, y, x, y…
   * @param {number} rotation degrees counter-clockwise
   */
  setSubject(points, rotation) {
    this.rotation = (rotation * Math.PI) / 180;
    const cos = Math.cos(this.rotation);
    const sin = Math.sin(this.rotation);
    let left = Infinity,
      right = -Infinity,
      bottom = Infinity,
      top = -Infinity;
    for (let i = 0; i < points.length; i += 2) {
      const x = points[i] * cos - points[i + 1] * sin;
      const y = points[i] * sin + points[i + 1] * cos;
      left = Math.min(left, x);
      right = Math.max(right, x);
      bottom = Math.min(bottom, y);
      top = Math.max(top, y);
    }
    if (!(right >= left)) left = right = bottom = top = 0;
    this.left = left;
    this.right = right;
    this.bottom = bottom;
    this.top = top;
    const x = (left + right) / 2;
    const y = (bottom + top) / 2;
    this.homeX = x * cos + y * sin;
    this.homeY = -x * sin + y * cos;
    this.home();
  }

  /** @param {number} width @param {number} height pixels of the page */
  resize(width, height) {
    this.width = width;
    this.height = height;
    const margin = Math.min(64, Math.min(width, height) * 0.11);
    const across = Math.max(this.right - this.left, 1e-6);
    const upright = Math.max(this.top - this.bottom, 1e-6);
    this.fitScale = Math.min(
      Math.max(10, width - 2 * margin) / across,
      Math.max(10, height - 2 * margin) / upright,
    );
    this.update();
  }

  home() {
    this.zoom = 1;
    this.x = this.homeX;
    this.y = this.homeY;
    this.resize(this.width, this.height);
  }

  /** @param {number} factor @param {number} px @param {number} py the point that stays put */
  zoomAt(factor, px, py) {
    const x = this.groundX(px, py);
    const y = this.groundY(px, py);
    this.zoom = Math.min(MOST_ZOOM, Math.max(LEAST_ZOOM, this.zoom * factor));
    this.update();
    this.x += x - this.groundX(px, py);
    this.y += y - this.groundY(px, py);
    this.update();
  }

  /** @param {number} dx @param {number} dy pixels */
  pan(dx, dy) {
    const x = this.groundX(this.width / 2 - dx, this.height / 2 - dy);
    const y = this.groundY(this.width / 2 - dx, this.height / 2 - dy);
    this.centre(x, y);
  }

  /** @param {number} x @param {number} y on the ground */
  centre(x, y) {
    this.x = x;
    this.y = y;
    this.update();
  }

  update() {
    const scale = this.scale;
    const cos = Math.cos(this.rotation) * scale;
    const sin = Math.sin(this.rotation) * scale;
    this.a = cos;
    this.b = -sin;
    this.c = -sin;
    this.d = -cos;
    this.e = this.width / 2 - (this.a * this.x + this.c * this.y);
    this.f = this.height / 2 - (this.b * this.x + this.d * this.y);
    this.version += 1;
  }

  /** @param {number} x @param {number} y */
  px(x, y) {
    return this.a * x + this.c * y + this.e;
  }

  /** @param {number} x @param {number} y */
  py(x, y) {
    return this.b * x + this.d * y + this.f;
  }

  /** @param {number} px @param {number} py */
  groundX(px, py) {
    const scale = this.scale;
    const u = (px - this.e) / scale;
    const v = (py - this.f) / scale;
    return u * Math.cos(this.rotation) - v * Math.sin(this.rotation);
  }

  /** @param {number} px @param {number} py */
  groundY(px, py) {
    const scale = this.scale;
    const u = (px - this.e) / scale;
    const v = (py - this.f) / scale;
    return -u * Math.sin(this.rotation) - v * Math.cos(this.rotation);
  }
}
