pairs(); seen_controls(); table(); boxes(); gallery(); hints();
