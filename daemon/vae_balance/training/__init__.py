"""What all trainers share; knows no corrector."""
