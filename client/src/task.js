/** The script of `{% notify_progress %}`, which the tag itself loads: the bar of one task inside a page. */
import { defineTask } from "./page/task.js";

defineTask();
