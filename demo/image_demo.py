"""MMPose's image demo, with limner: python demo/image_demo.py --help"""

from limner.mmpose import demos

if __name__ == "__main__":
    demos.main(demos.image)
