// @ts-check
/** The buttons on the picture: zoom, show everything, follow the selected entities. */

import { byId } from "./elements.js";

/** @typedef {import("./selection.js").Selection} Selection */
/** @typedef {import("./track.js").Track} Track */

const ZOOM_STEP = 1.4;
/** Following is of use only where it is zoomed in. */
const LEAST_FOLLOWING_ZOOM = 3;
const FOLLOWING_ZOOM = 5;

export class PictureTools {
  /** @param {Track} track @param {Selection} selection */
  constructor(track, selection) {
    this.track = track;
    this.selection = selection;
    this.followButton = byId("follow");
    byId("zoom-in").addEventListener("click", () => this.zoom(ZOOM_STEP));
    byId("zoom-out").addEventListener("click", () => this.zoom(1 / ZOOM_STEP));
    byId("zoom-fit").addEventListener("click", () => {
      this.setFollowing(false);
      track.camera.home();
    });
    this.followButton.addEventListener("click", () => this.setFollowing(!track.following));
  }

  /** @param {number} factor */
  zoom(factor) {
    const { camera } = this.track;
    camera.zoomAt(factor, camera.width / 2, camera.height / 2);
  }

  /** @param {boolean} following */
  setFollowing(following) {
    const { track, selection } = this;
    track.following = following;
    this.followButton.setAttribute("aria-pressed", String(following));
    if (!following) return;
    if (selection.chosen.length === 0 && track.recording?.isRace) selection.set([track.order[0]]);
    if (track.camera.zoom < LEAST_FOLLOWING_ZOOM) track.camera.zoom = FOLLOWING_ZOOM;
  }
}
