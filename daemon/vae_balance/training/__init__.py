"""What all trainers share: photos, damage, the loop; knows no corrector."""
